"""Retention: which results and artifacts are past what the policy keeps, and nothing that anybody can still ask for.

``observed`` holds what was seen, ``wishes`` what the policy must be able to say, ``standings`` judges runs, ``judging``
objects, ``planning`` gathers what is condemned, and ``verdicts`` says it in findings and changes.
"""

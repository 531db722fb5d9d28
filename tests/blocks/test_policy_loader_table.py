"""Each kind of bad input, with the line that a user reads first. The numbers are those of the design's table."""

import pytest
import yaml
from support.trial_policy import GOOD, TRIAL_KINDS

from blocks.policies import source
from blocks.policies.loader import load_policies

HEAD = "kind: TrialPolicy\nversion: 1\nname: trial\n"
THING = HEAD + "things:\n  - name: one\n    "
BEGIN = "Begin with `kind`, `version` and `name`."
KEEP = "Keep it in a secret store, name it here by its reference, and rotate it."
WRITE_OUT = "Write the values out, or split the policy."
DURATION = (
    "a duration is a whole number and one of s, m, h, d, w, such as 30m or 90d. Write for example 30m, 24h or 90d."
)
ACCEPT = "Say who accepts it (owner), why (reason) and until when (expires)."
KNOWN = "Known here: exceptions, kind, max_changes, name, places, things, version, vocabulary."
BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)

CASES = {
    "04 empty": (b"", "1:1: P010 the policy is empty. " + BEGIN),
    "05 comments": (b"# nothing\n", "1:1: P010 the policy is empty. " + BEGIN),
    "06 scalar": (b"hello\n", "1:1: P011 the top level must be a mapping, got a string. " + BEGIN),
    "07 list": (b"- a\n", "1:1: P011 the top level must be a mapping, got a list. " + BEGIN),
    "08 two documents": (
        GOOD + "---\na: 1\n",
        "6:1: P012 one document per file. Move what follows this line to its own file.",
    ),
    "09 tab": (b"a:\n\tb: 1\n", "2:1: P013 tab at 2:1. Use spaces."),
    "10 open list": (
        b"a: [1, 2\nb: 3\n",
        "2:2: P013 the list, opened at 1:4, is not closed. Add the missing `]` or comma.",
    ),
    "10 open mapping": (
        b"a: {x: 1\nb: 3\n",
        "2:2: P013 the mapping, opened at 1:4, is not closed. Add the missing `}` or comma.",
    ),
    "10 open quote": (b"a: 'x\n", "2:1: P013 the quoted text, opened at 1:4, is not closed. Add the missing quote."),
    "11 two colons": (b"msg: a: b\n", "1:7: P013 a second `: ` on one line. Quote the value, or begin a new line."),
    "12 at sign": (b"a: @x\n", "1:4: P013 a plain value cannot start with @. Quote values starting with @."),
    "12 directive": (
        b"%YAML 3.0\n---\na: 1\n",
        "1:1: P013 YAML directives are not allowed. Remove the line that begins with `%`.",
    ),
    "13 NUL": (b"a: \x00\n", "1:4: P014 control character U+0000 at offset 3. Remove it."),
    "13 BEL": (b"a: \x07\n", "1:4: P014 control character U+0007 at offset 3. Remove it."),
    "13 next line": ("a: \x85b\n", "1:4: P014 control character U+0085 at offset 3. Remove it."),
    "14 not UTF-8": (b"a: \xff\n", "1:4: P014 the file is not UTF-8 (byte 3). Save it as UTF-8."),
    "14 UTF-16": (GOOD.encode("utf-16"), "1:1: P014 the file is not UTF-8 (byte 0). Save it as UTF-8."),
    "15 BOM": (
        b"\xef\xbb\xbf" + GOOD.encode(),
        "1:1: W014 the file begins with a byte-order mark. Save it as plain UTF-8.",
    ),
    "16 python tag": (
        GOOD + "max_changes: !!python/object/apply:os.system [id]\n",
        "6:14: P015 tags are not allowed. Remove the word that begins with `!`.",
    ),
    "17 tag": (
        GOOD + "max_changes: !Foo 1\n",
        "6:14: P015 tags are not allowed. Remove the word that begins with `!`.",
    ),
    "18 duplicate key": (GOOD + "name: two\n", "6:1: P016 duplicate key `name`, first at line 3. Keep one of them."),
    "19 merge": (
        GOOD + "vocabulary:\n  <<: {a: [b]}\n",
        "7:3: P017 merge keys (`<<`) are not allowed. Write the keys out.",
    ),
    "20 undefined alias": (
        b"a: *nope\n",
        "1:4: P018 this alias (`*`) has no anchor (`&`) before it. Write the value out.",
    ),
    "20 anchor twice": (b"a: &x 1\nb: &x 2\n", "2:4: P018 this anchor (`&`) is defined twice. Write the value out."),
    "21 bomb": (BOMB, f"1:26: P018 over 100000 values, those that aliases repeat counted each time. {WRITE_OUT}"),
    "21 many aliases": (
        "a: [" + "*x," * 200 + "]\n",
        "1:305: P018 too many aliases (the limit is 100). Write the values out.",
    ),
    "21 alias of itself": (
        HEAD + "things: &x [*x]\n",
        f"4:9: P018 this anchor (`&`) holds an alias of itself. {WRITE_OUT}",
    ),
    "22 deep": ("[" * 3000, "1:33: P019 nesting over 32 levels. No policy needs that many."),
    "23 large": (
        b"#" * (1 << 20) + b"\n",
        "1:1: P020 the file is over 1 MiB. Split the policy into several, one a file.",
    ),
    "24 complex key": (GOOD + "? [a]\n: 1\n", "6:3: P021 keys must be strings. Write a plain word before the colon."),
    "25 integer key": (GOOD + "1: a\n", '6:1: P021 keys must be strings. Quote the key, for example "1".'),
    "25 null key": (GOOD + "~: a\n", '6:1: P021 keys must be strings. Quote the key, for example "~".'),
    "25 boolean key": (GOOD + "on: a\n", '6:1: P021 keys must be strings. Quote the key, for example "on".'),
    "26 no": (THING + "active: no\n", '6:13: P030 `no` is a YAML boolean. Write true or false, or quote it: "no".'),
    "27 on": (THING + "active: on\n", '6:13: P030 `on` is a YAML boolean. Write true or false, or quote it: "on".'),
    "28 octal": (THING + "count: 0123\n", '6:12: P030 this is an octal number in YAML. Quote it, for example "0123".'),
    "28 hexadecimal": (
        THING + "count: 0x1f\n",
        "6:12: P030 this is no plain whole number. Write decimal digits only (18 at most), or quote it.",
    ),
    "29 sexagesimal": (
        THING + "every: 12:30:45\n",
        '6:12: P030 this is a sexagesimal number in YAML. Quote it, for example "12:30:45".',
    ),
    "30 date": (THING + "require: 2027-03-31\n", '6:14: P030 this is a YAML date. Quote it, for example "2027-03-31".'),
    "31 nan": (THING + "count: .nan\n", "6:12: P030 floats are not allowed. Write a whole number, or quote it."),
    "31 float": (THING + "count: 1.5\n", "6:12: P030 floats are not allowed. Write a whole number, or quote it."),
    "32 null": (THING + "every:\n", "6:5: P031 `every` has no value. Give it one, or remove it."),
    "32 null item": (THING + "words: [a, ~]\n", "6:16: P031 this item has no value. Give it one, or remove it."),
    "33 escaped NUL": (THING + 'require: "\\0"\n', "6:14: P014 an escape names the character U+0000. Remove it."),
    "34 bidi": (THING + "require: a\u202eb\n", "6:15: P032 invisible character U+202E. Remove it."),
    "34 escaped bidi": (THING + 'require: "\\u202e"\n', "6:14: P032 invisible character U+202E. Remove it."),
    "34 bidi in comment": ("# a\u202eb\n" + GOOD, "1:4: P032 invisible character U+202E. Remove it."),
    "34 line separator": (THING + "require: a\u2028b\n", "6:15: P032 invisible character U+2028. Remove it."),
    "35 look-alike key": (
        GOOD + "pl\u0430ces: []\n",
        "6:1: P032 non-ASCII key with the character U+0430. Write keys in plain letters.",
    ),
    "36 no version": ("kind: TrialPolicy\nname: trial\nthings: [{name: one}]\n", "1:1: P040 `version` is required."),
    "36 no kind": ("version: 1\nname: a\n", "1:1: P040 `kind` is required. It is one of TrialPolicy."),
    "37 version": (
        GOOD.replace("version: 1", "version: 99"),
        "2:10: P041 `version` is not known. This release supports 1.",
    ),
    "37 text version": (
        GOOD.replace("version: 1", "version: '1'"),
        "2:10: P041 `version` is not known. This release supports 1.",
    ),
    "38 unknown key": (GOOD + "plases: []\n", "6:1: P042 unknown key `plases`. Did you mean `places`?"),
    "38 deep unknown key": (
        GOOD + "places: [{block: x, exclusiv: true}]\n",
        "6:21: P042 unknown key `exclusiv`. Did you mean `exclusive`?",
    ),
    "38 digest": (GOOD + "digest: abc\n", "6:1: P042 unknown key `digest`. Publishing sets it; leave it out."),
    "38 block type": (
        GOOD + "block_type_slug: secret\n",
        "6:1: P042 unknown key `block_type_slug`. " + KNOWN,
    ),
    "39 no list": (HEAD + "things: {a: b}\n", "4:9: P043 `things` must be a list, got a mapping."),
    "39 item": (HEAD + "things: [one]\n", "4:10: P043 item 1 of `things` must be a mapping, got a string."),
    "39 text for number": (THING + "count: '3'\n", "6:12: P043 `count` must be a whole number, got a string."),
    "39 number for boolean": (THING + "active: 1\n", "6:13: P043 `active` must be true or false, got a whole number."),
    "39 boolean for number": (THING + "count: true\n", "6:12: P043 `count` must be a whole number, got a boolean."),
    "39 boolean for text": (
        THING + "labels: {gpu: true}\n",
        "6:19: P043 `gpu` must be a string, got a boolean. Quote it.",
    ),
    "40 no name": ("kind: TrialPolicy\nversion: 1\nthings: [{name: one}]\n", "1:1: P040 `name` is required."),
    "40 bad name": (
        GOOD.replace("name: trial", "name: Not OK"),
        "3:7: P044 `name` does not match its pattern. It must match ^[a-z0-9]+(-[a-z0-9]+)*$.",
    ),
    "40 number out of range": (THING + "count: 11\n", "6:12: P047 `count` must be at most 10."),
    "40 too few": (HEAD + "things: []\n", "4:9: P047 `things` must have at least 1 item."),
    "41 duplicate name": (
        HEAD + "things:\n  - name: one\n  - name: one\n",
        "6:11: P045 two items of `things` have the same name; also at line 5. Give each its own name.",
    ),
    "42 mode": (
        THING + "mode: enforcing\n",
        "6:11: P046 `mode` must be one of off, audit, warn, enforce. Did you mean `enforce`?",
    ),
    "42 kind": (
        GOOD.replace("TrialPolicy", "TrailPolicy"),
        "1:7: P046 `kind` must be one of TrialPolicy. Did you mean `TrialPolicy`?",
    ),
    "51 selector": (THING + "require: a in (b\n", "6:19: P058 this parenthesis is not closed. Add `)`."),
    "51 quoted selector": (THING + 'require: "a in (b"\n', "6:20: P058 this parenthesis is not closed. Add `)`."),
    "51 anchored selector": (THING + 'require: &x "a in (b"\n', "6:23: P058 this parenthesis is not closed. Add `)`."),
    "51 folded selector": (
        THING + "require: >-\n      a in (b\n",
        "6:14: P058 this parenthesis is not closed. Add `)`.",
    ),
    "55 no reason": (
        GOOD + "exceptions:\n  - {rule: r, subject: s, owner: o, expires: '2027-01-01'}\n",
        f"7:5: P070 `reason` is required in item 1 of `exceptions`. {ACCEPT}",
    ),
    "55 bad expiry": (
        GOOD + "exceptions:\n  - {rule: r, subject: s, owner: o, reason: x, expires: soon}\n",
        '7:57: P070 `expires` must be a date. Write it quoted, for example "2027-03-31".',
    ),
    "57 number": (THING + "every: 5\n", "6:12: P072 `every` must be a duration. Write for example 30m, 24h or 90d."),
    "57 words": (THING + "every: 5 mins\n", f"6:12: P072 {DURATION}"),
    "57 negative": (THING + "every: -1h\n", f"6:12: P072 {DURATION}"),
    "59 token": (
        THING + "require: ghp_abcdefghijklmnopqrstuvwxyz0123456789\n",
        f"6:14: P080 looks like a secret (value hidden). {KEEP}",
    ),
    "59 random": (
        THING + "require: x7Gf9Kq2LmZp4Rt8Vw3Ny6Bc1\n",
        f"6:14: P080 looks like a secret (value hidden). {KEEP}",
    ),
    "59 password": (THING + "password: hunter2\n", f"6:15: P080 looks like a secret (value hidden). {KEEP}"),
    "59 numeric password": (THING + "password: 12345\n", f"6:15: P080 looks like a secret (value hidden). {KEEP}"),
    "59 address": ("# https://bob:hunter2@host/\n" + GOOD, f"1:3: P080 looks like a secret (value hidden). {KEEP}"),
    "59 key": (GOOD + "ghp_abcdefghijklmnop: x\n", f"6:1: P080 looks like a secret (value hidden). {KEEP}"),
    "60 private key": (
        THING + "require: |\n      -----BEGIN RSA PRIVATE KEY-----\n      MIIEowIBAAKCAQEAx7Gf\n",
        "7:7: P082 private key in the policy (value hidden). Rotate it: whoever can read this file has it.",
    ),
    "a validator that breaks": (
        THING + "require: explode\n",
        "1:1: P049 the model of this kind failed (RuntimeError). This is a defect of Vigiles: please report it.",
    ),
}


@pytest.mark.parametrize("loader", [source.Loader, yaml.SafeLoader], ids=["c", "python"])
@pytest.mark.parametrize("case", CASES)
def test_a_bad_document_is_told_with_place_code_and_hint(case, loader, tmp_path, monkeypatch):
    content, expected = CASES[case]
    path = tmp_path / "policy.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.setattr(source, "Loader", loader)

    loaded = load_policies([path], TRIAL_KINDS)

    assert [str(problem) for problem in loaded.problems][:1] == [f"{path}:{expected}"]
    assert bool(loaded.policies) == ("W014" in expected)


def test_a_lone_surrogate_is_no_character(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text(THING + 'require: "\\ud800"\n')

    problems = load_policies([path], TRIAL_KINDS).problems

    assert [problem.code for problem in problems] == ["P014"]

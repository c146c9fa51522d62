"""JSON that a server might send and should not: an honest document, made wrong in one way or some."""

import json

#: What people's terminals and browsers would obey or hide.
CONTROLS = "\x1b[2J\x9b1m\u202e\u2066\u200f\x00\x7f\u0085"
#: A document of so many nodes is not changed once more: that costs the fuzzer more than the gate.
MANY = 10_000
#: Bytes that an entry may become by being repeated: of a large one fewer will do.
REPEATED = 8_000_000
NUMBERS = [0, -1, 1, 2**31, 2**53, 2**63, 2**64, -2**63, 1e308, -0.0, 1.5]
TEXTS = ["", " ", "#", "#k", "b", "p333333333333", "p333333333331", "x" * 300, "\ud800", "\u0000",
         "2026-02-30T25:61:61Z", "9999-12-31T23:59:59Z", "0000-00-00T00:00:00Z", "AcmeRenewal",
         "Rate limited. Retry after 99999999999999999999 seconds", CONTROLS, "\u00e9" * 700,
         "<script>alert(1)</script>", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]


def nodes(document):
    """Every (holder, key) of the document, in its order."""
    found, waiting = [], [document]
    while waiting:
        holder = waiting.pop()
        items = holder.items() if isinstance(holder, dict) else enumerate(holder)
        for key, value in items:
            found.append((holder, key))
            if isinstance(value, (dict, list)):
                waiting.append(value)
    return found


def deep(chance):
    """Lists within lists, some deeper than any reader follows."""
    value = []
    for _ in range(chance.choice([10, 200, 400])):
        value = [value] if chance.random() < 0.5 else {"a": value}
    return value


def wrong_value(chance):
    return chance.choice([
        lambda: None, lambda: True, lambda: False, lambda: {}, lambda: [],
        lambda: chance.choice(NUMBERS), lambda: chance.choice(TEXTS), lambda: chance.choice(TEXTS),
        lambda: "y" * chance.choice([1000, 10_000, 300_000]), lambda: deep(chance),
        lambda: [None] * 3, lambda: {"": {}}, lambda: [[]], lambda: list(range(1000)),
    ])()


def replace(chance, document):
    holder, key = chance.choice(nodes(document))
    holder[key] = wrong_value(chance)


def remove(chance, document):
    holder, key = chance.choice(nodes(document))
    del holder[key]


def swap(chance, document):
    (one, key), (other, name) = chance.choice(nodes(document)), chance.choice(nodes(document))
    copy = json.loads(json.dumps(other[name]))
    other[name] = json.loads(json.dumps(one[key]))
    one[key] = copy


def rename(chance, document):
    holders = [(holder, key) for holder, key in nodes(document) if isinstance(holder, dict)]
    if holders:
        holder, key = chance.choice(holders)
        holder[chance.choice(TEXTS + [key.upper(), key + "\x00"])] = holder.pop(key)


def many(chance, document):
    """A list or an object of one kind of entry, as often as no honest server has it."""
    count = 100_000 if chance.random() < 0.1 else chance.choice([2, 600, 3_000])
    lists = [holder[key] for holder, key in nodes(document)
             if isinstance(holder[key], (list, dict)) and holder[key]]
    if not lists:
        return
    chosen = chance.choice(lists)
    entry = chosen[next(iter(chosen))] if isinstance(chosen, dict) else chosen[0]
    count = min(count, REPEATED // len(json.dumps(entry)) + 1)
    if isinstance(chosen, dict):
        chosen.update({f"n{i}": entry for i in range(count)})
    elif chance.random() < 0.5 and isinstance(entry, str):
        chosen.extend(f"{entry}{i}" for i in range(count))
    elif isinstance(entry, dict) and "id" in entry and chance.random() < 0.7:
        chosen.extend({**entry, "id": f"b{i}"} for i in range(count))
    else:
        chosen.extend([entry] * count)


def respond_otherwise(chance, document):
    """The responses of a batch: too few, too many, in another order, of another call, or errors."""
    responses = document.get("methodResponses") if isinstance(document, dict) else None
    if not isinstance(responses, list) or not responses:
        replace(chance, document)
        return
    at = chance.randrange(len(responses))
    error = ["error", {"type": chance.choice(["serverFail", "unknownMethod", "invalidArguments",
                                              "cyclic references", "", CONTROLS])}, "?"]
    if isinstance(responses[at], list) and responses[at]:
        error[2] = responses[at][-1]
    often = min(chance.choice([20, 20, 3_000]), REPEATED // len(json.dumps(responses[at])) + 1)
    chance.choice([
        lambda: responses.pop(at),
        lambda: responses.insert(at, error),
        lambda: responses.__setitem__(at, error),
        lambda: responses.insert(at, responses[at]),
        lambda: chance.shuffle(responses),
        lambda: responses.reverse(),
        responses.clear,
        lambda: responses.extend([responses[at]] * often),
        lambda: document.__setitem__("methodResponses", error),
        lambda: document.__setitem__("createdIds", wrong_value(chance)),
    ])()


CHANGES = [replace, replace, replace, remove, swap, rename, many, many, respond_otherwise,
           respond_otherwise]


def write(chance, document):
    """As text; not all of it is what a reader of UTF-8 takes."""
    if chance.random() < 0.7:
        return json.dumps(document).encode()
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")


def spoil(chance, text):
    """Bytes that are no longer JSON, or only just."""
    at = chance.randrange(len(text) + 1)
    return chance.choice([
        lambda: text[:at],
        lambda: text[:at] + bytes([chance.randrange(256)]) + text[at + 1:],
        lambda: text[:at] + text[max(0, at - 20):],
        lambda: text + text,
        lambda: text + b"\x00",
        lambda: b"\xef\xbb\xbf" + text,
        lambda: text.decode("utf-8", "replace").encode("utf-16"),
        lambda: text.replace(b'"', b"'"),
        lambda: text.replace(b":", b":" + b" " * 5000, 3),
        lambda: text.replace(b'"id"', b'"id":"q","id"'),
        lambda: text.replace(b'"methodResponses"', b'"methodResponses":[],"methodResponses"'),
        lambda: b"[" * 100_000,
        lambda: b'{"a":' * 50_000,
        lambda: b"[" + b"{}," * 100_000 + b"{}]",
        lambda: b"1e99999", lambda: b"null", lambda: b'""', lambda: b"", lambda: b" " * 10_000,
    ])()


def hostile(chance, text):
    """An honest text, made wrong; text that is no JSON is only spoiled."""
    try:
        document = json.loads(text)
    except ValueError:
        return spoil(chance, text)
    if chance.random() < 0.15 or not isinstance(document, (dict, list)) or not document:
        return spoil(chance, text)
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        if 0 < len(nodes(document)) < MANY:
            chance.choice(CHANGES)(chance, document)
    return write(chance, document)

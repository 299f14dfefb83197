"""Write `schemas.jsonl.gz`: 100 JSON schemas as people write them for extraction, tools and settings, with instances.

    python -m benchmarks.masks.data.make_schemas

One line a schema: `name`, `schema`, `instances` (three values, members in the order of the schema). Thirty-odd
are written by hand, the rest are put together from fields by a seeded generator that varies what real schemas
vary: closed or open objects, few or many required members, definitions or inlined parts, depth, unions, limits.
Every instance is checked with the `jsonschema` library.
"""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import jsonschema

Schema = dict[str, Any]
PATH = Path(__file__).parent / "schemas.jsonl.gz"
COUNT = 100


def text(**more: Any) -> Schema:
    return {"type": "string", **more}


def whole(**more: Any) -> Schema:
    return {"type": "integer", **more}


def amount(**more: Any) -> Schema:
    return {"type": "number", **more}


def one_of_words(*words: str) -> Schema:
    return {"type": "string", "enum": list(words)}


def many(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


def record(members: Schema, required: list[str] | None = None, closed: bool = True, **more: Any) -> Schema:
    found: Schema = {"type": "object", "properties": members, **more}
    found["required"] = list(members) if required is None else required
    if closed:
        found["additionalProperties"] = False
    return found


def ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


FLAG: Schema = {"type": "boolean"}
DATE = text(format="date")
MOMENT = text(format="date-time")
MONEY = record({"amount": amount(minimum=0), "currency": text(pattern="^[A-Z]{3}$")})
ADDRESS = record(
    {
        "street": text(),
        "city": text(minLength=1),
        "postcode": text(pattern="^[0-9]{4,6}$"),
        "country": text(maxLength=2),
    },
    ["street", "city"],
)


def by_hand() -> dict[str, Schema]:
    """Schemas that each show something of their own."""
    tree: Schema = {
        "$ref": "#/$defs/node",
        "$defs": {"node": record({"label": text(), "children": many(ref("node"))}, ["label"])},
    }
    expression: Schema = {
        "$ref": "#/$defs/expression",
        "$defs": {
            "expression": {
                "oneOf": [
                    record({"kind": {"const": "number"}, "value": amount()}),
                    record({"kind": {"const": "name"}, "name": text(pattern="^[a-z_][a-z0-9_]*$")}),
                    record({"kind": {"const": "call"}, "function": text(), "arguments": many(ref("expression"))}),
                ]
            }
        },
    }
    shapes: Schema = {
        "type": "object",
        "properties": {
            "type": {"const": "Feature"},
            "geometry": {
                "oneOf": [
                    record({"type": {"const": "Point"}, "coordinates": ref("position")}),
                    record({"type": {"const": "LineString"}, "coordinates": many(ref("position"), minItems=2)}),
                    record({"type": {"const": "Polygon"}, "coordinates": many(many(ref("position"), minItems=4))}),
                ]
            },
            "properties": {"type": ["object", "null"]},
        },
        "required": ["type", "geometry", "properties"],
        "$defs": {
            "position": {
                "type": "array",
                "prefixItems": [amount(minimum=-180, maximum=180), amount(minimum=-90, maximum=90)],
                "items": False,
                "minItems": 2,
            }
        },
    }
    payment: Schema = {
        "type": "object",
        "properties": {
            "method": one_of_words("card", "transfer", "cash"),
            "card_number": text(pattern="^[0-9]{16}$"),
            "iban": text(pattern="^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$"),
            "total": MONEY,
        },
        "required": ["method", "total"],
        "additionalProperties": False,
        "if": {"properties": {"method": {"const": "card"}}},
        "then": {"required": ["card_number"]},
    }
    base = {"type": "object", "properties": {"id": text(format="uuid"), "created": MOMENT}, "required": ["id"]}
    return {
        "verdict": record({"verdict": one_of_words("supported", "refuted", "unclear"), "reason": text()}),
        "weather_tool": record(
            {
                "location": text(description="City and country."),
                "unit": one_of_words("celsius", "fahrenheit"),
                "days": whole(minimum=1, maximum=14),
            },
            ["location"],
        ),
        "tool_call": {
            "anyOf": [
                record(
                    {"tool": {"const": "search"}, "arguments": record({"query": text(), "limit": whole()}, ["query"])}
                ),
                record({"tool": {"const": "read_file"}, "arguments": record({"path": text(minLength=1)})}),
                record({"tool": {"const": "finish"}, "arguments": record({"answer": text()})}),
            ]
        },
        "tree": tree,
        "expression": expression,
        "feature": shapes,
        "payment": payment,
        "entity": {"allOf": [base, {"properties": {"name": text(), "tags": many(text())}, "required": ["name"]}]},
        "person": record(
            {
                "name": text(minLength=1, maxLength=80),
                "birth": DATE,
                "email": text(format="email"),
                "address": ADDRESS,
                "phones": many(text(pattern=r"^\+[0-9]{6,14}$"), maxItems=3),
            },
            ["name", "email"],
        ),
        "invoice": record(
            {
                "number": text(pattern="^INV-[0-9]{6}$"),
                "issued": DATE,
                "due": {"anyOf": [DATE, {"type": "null"}]},
                "seller": ref("party"),
                "buyer": ref("party"),
                "lines": many(
                    record(
                        {
                            "description": text(),
                            "quantity": whole(exclusiveMinimum=0),
                            "price": amount(minimum=0),
                            "vat": {"enum": [0, 7, 19]},
                        }
                    ),
                    minItems=1,
                ),
            },
            ["number", "issued", "seller", "buyer", "lines"],
            **{"$defs": {"party": record({"name": text(), "address": ADDRESS, "vat_id": text()}, ["name"])}},
        ),
        "package": {
            "type": "object",
            "properties": {
                "name": text(pattern="^[a-z0-9-]+$"),
                "version": text(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+$"),
                "scripts": {"type": "object", "additionalProperties": text()},
                "dependencies": {"type": "object", "additionalProperties": text()},
                "private": FLAG,
            },
            "required": ["name", "version"],
        },
        "environment": {
            "type": "object",
            "patternProperties": {"^[A-Z][A-Z0-9_]*$": {"type": ["string", "number", "boolean"]}},
            "additionalProperties": False,
        },
        "matrix": many(many(amount(), minItems=3, maxItems=3), minItems=3, maxItems=3),
        "colour": {
            "anyOf": [
                text(pattern="^#[0-9a-f]{6}$"),
                record({c: whole(minimum=0, maximum=255) for c in ("red", "green", "blue")}),
            ]
        },
        "range": {
            "type": "array",
            "prefixItems": [amount(), amount(), one_of_words("open", "closed")],
            "items": False,
            "minItems": 2,
        },
        "log_event": record(
            {
                "time": MOMENT,
                "level": one_of_words("debug", "info", "warning", "error"),
                "message": text(),
                "context": {
                    "type": "object",
                    "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
                },
            },
            ["time", "level", "message"],
        ),
        "anything": {},
        "scores": {"type": "object", "additionalProperties": amount(minimum=0, maximum=1)},
        "steps": record({"steps": many(record({"explanation": text(), "output": text()})), "final_answer": text()}),
        "dice": many(whole(minimum=1, maximum=6), minItems=1, maxItems=5),
        "settings": {
            "type": "object",
            "properties": {
                "theme": {"enum": ["light", "dark", None]},
                "font_size": whole(minimum=6, maximum=72, multipleOf=2),
                "plugins": many(record({"name": text(), "enabled": FLAG}, ["name"])),
                "telemetry": {"const": False},
            },
        },
        "host": record(
            {
                "name": text(format="hostname"),
                "address": {"anyOf": [text(format="ipv4"), text(format="ipv6")]},
                "ports": many(whole(minimum=1, maximum=65535), minItems=1),
                "url": text(format="uri"),
            },
            ["name", "ports"],
        ),
        "linked_list": {
            "$ref": "#/$defs/cell",
            "$defs": {"cell": record({"head": whole(), "tail": {"anyOf": [ref("cell"), {"type": "null"}]}})},
        },
        "either": {"oneOf": [whole(), text(), {"type": "null"}, many(whole())]},
        "versioned": {
            "oneOf": [
                record({"version": {"const": 1}, "name": text()}),
                record({"version": {"const": 2}, "first": text(), "last": text()}),
            ]
        },
        "dependent": {
            "type": "object",
            "properties": {"name": text(), "credit_card": text(pattern="^[0-9]{4}$"), "billing": text()},
            "required": ["name"],
            "dependentRequired": {"credit_card": ["billing"]},
            "additionalProperties": False,
        },
        "translation": record(
            {language: text() for language in ("en", "de", "fr", "es", "pt", "it", "nl", "pl", "ja", "zh")}, ["en"]
        ),
        "booking": record(
            {
                "guest": text(),
                "nights": whole(minimum=1, maximum=365),
                "rate": amount(exclusiveMinimum=0, maximum=10000),
                "check_in": DATE,
                "requests": many(text(maxLength=60), maxItems=4),
            },
            ["guest", "nights", "check_in"],
        ),
    }


FIELDS: dict[str, Schema] = {
    "id": text(format="uuid"),
    "name": text(),
    "title": text(maxLength=64),
    "description": text(),
    "status": one_of_words("draft", "open", "in_progress", "done", "archived"),
    "priority": one_of_words("low", "medium", "high"),
    "count": whole(minimum=0),
    "rating": whole(minimum=1, maximum=5),
    "price": amount(minimum=0),
    "weight_kg": amount(exclusiveMinimum=0),
    "confidence": amount(minimum=0, maximum=1),
    "active": FLAG,
    "verified": {"type": ["boolean", "null"]},
    "created_at": MOMENT,
    "date": DATE,
    "tags": many(text()),
    "keywords": many(text(minLength=2), minItems=1, maxItems=8),
    "email": text(format="email"),
    "website": text(format="uri"),
    "sku": text(pattern="^[A-Z]{3}-[0-9]{4}$"),
    "country": one_of_words("DE", "FR", "IT", "ES", "NL", "PL", "SE", "US", "JP", "BR"),
    "language": text(pattern="^[a-z]{2}(-[A-Z]{2})?$"),
    "notes": {"type": ["string", "null"]},
    "latitude": amount(minimum=-90, maximum=90),
    "longitude": amount(minimum=-180, maximum=180),
    "metadata": {"type": "object", "additionalProperties": text()},
    "vector": many(amount(), minItems=3, maxItems=3),
    "parent_id": {"anyOf": [text(format="uuid"), {"type": "null"}]},
    "year": whole(minimum=1900, maximum=2100),
    "code": text(minLength=3, maxLength=12),
    "total": MONEY,
    "address": ADDRESS,
}
THINGS = "order product ticket article patient recipe event course job review sensor shipment".split()


def put_together(number: int, rng: random.Random) -> tuple[str, Schema]:
    """One schema out of fields."""
    thing = THINGS[number % len(THINGS)]
    definitions: Schema = {}
    schema = _object(rng, depth=rng.choice([0, 1, 1, 2]), definitions=definitions)
    if rng.random() < 0.25:
        schema = many(schema, minItems=1)
    if definitions:
        schema["$defs"] = definitions
    if rng.random() < 0.5:
        schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": thing.title(), **schema}
    return f"{thing}_{number}", schema


def _object(rng: random.Random, depth: int, definitions: Schema) -> Schema:
    names = rng.sample(sorted(FIELDS), rng.randint(2, 12))
    members: Schema = {name: dict(FIELDS[name]) for name in names}
    if depth:
        for name in rng.sample(["items", "details", "owner", "related", "history"], rng.randint(1, 2)):
            inner = _object(rng, depth - 1, definitions)
            if rng.random() < 0.5:
                definitions[f"{name}_{len(definitions)}"] = inner
                inner = ref(list(definitions)[-1])
            members[name] = many(inner) if rng.random() < 0.6 else inner
    required = [name for name in members if rng.random() < rng.choice([0.3, 0.9, 1.0])]
    return record(members, required, closed=rng.random() < 0.65)


# ---- instances

WORDS = "amber basalt cedar delta ember fjord garnet harbor indigo juniper kelp lantern meadow nimbus".split()
FORMATS = {
    "date": lambda r: f"20{r.randint(10, 29)}-0{r.randint(1, 9)}-1{r.randint(0, 9)}",
    "date-time": lambda r: f"202{r.randint(0, 9)}-0{r.randint(1, 9)}-1{r.randint(0, 9)}T1{r.randint(0, 9)}:30:00Z",
    "uuid": lambda r: "-".join("".join(r.choices("0123456789abcdef", k=k)) for k in (8, 4, 4, 4, 12)),
    "email": lambda r: f"{r.choice(WORDS)}.{r.choice(WORDS)}@example.org",
    "uri": lambda r: f"https://example.org/{r.choice(WORDS)}?page={r.randint(1, 99)}",
    "hostname": lambda r: f"{r.choice(WORDS)}.example.net",
    "ipv4": lambda r: ".".join(str(r.randint(0, 255)) for _ in range(4)),
    "ipv6": lambda r: f"2001:db8::{r.randint(1, 0xFFFF):x}",
}
PATTERNS = {
    "^[A-Z]{3}$": lambda r: r.choice(["EUR", "USD", "SEK"]),
    "^[0-9]{4,6}$": lambda r: str(r.randint(1000, 999999)),
    "^[a-z_][a-z0-9_]*$": lambda r: r.choice(WORDS) + "_1",
    "^[0-9]{16}$": lambda r: "".join(r.choices("0123456789", k=16)),
    "^[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}$": lambda r: "DE02" + "".join(r.choices("0123456789", k=18)),
    r"^\+[0-9]{6,14}$": lambda r: "+49" + "".join(r.choices("0123456789", k=9)),
    "^INV-[0-9]{6}$": lambda r: f"INV-{r.randint(0, 999999):06}",
    "^[a-z0-9-]+$": lambda r: "-".join(r.sample(WORDS, 2)),
    r"^[0-9]+\.[0-9]+\.[0-9]+$": lambda r: ".".join(str(r.randint(0, 20)) for _ in range(3)),
    "^[A-Z][A-Z0-9_]*$": lambda r: "_".join(r.sample(WORDS, 2)).upper(),
    "^#[0-9a-f]{6}$": lambda r: "#" + "".join(r.choices("0123456789abcdef", k=6)),
    "^[0-9]{4}$": lambda r: str(r.randint(1000, 9999)),
    "^[A-Z]{3}-[0-9]{4}$": lambda r: f"{r.choice(WORDS)[:3].upper()}-{r.randint(0, 9999):04}",
    "^[a-z]{2}(-[A-Z]{2})?$": lambda r: r.choice(["de", "en-GB", "pt-BR"]),
}


def instance(schema: Schema, root: Schema, rng: random.Random, depth: int = 0) -> Any:
    """A value of a schema of this file; conditions of `if` are met by luck, so the caller checks."""
    if "$ref" in schema:
        return instance(root["$defs"][schema["$ref"].rpartition("/")[2]], root, rng, depth)
    for union in ("oneOf", "anyOf"):
        if union in schema:
            options = schema[union] if depth < 4 else [o for o in schema[union] if "$ref" not in json.dumps(o)]
            return instance(rng.choice(options), root, rng, depth + 1)
    if "allOf" in schema:
        found: Schema = {}
        for part in schema["allOf"]:
            found |= instance({"type": "object", **part}, root, rng, depth)
        return found
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return rng.choice(schema["enum"])
    kind = schema.get("type", rng.choice(["string", "object", "array", "number"]))
    kind = rng.choice(kind) if isinstance(kind, list) else kind
    return {"object": _members, "array": _items}.get(kind, _scalar)({**schema, "type": kind}, root, rng, depth)


def _members(schema: Schema, root: Schema, rng: random.Random, depth: int) -> Any:
    found = {}
    for name, inner in schema.get("properties", {}).items():
        if name in schema.get("required", ()) or rng.random() < (0.7 if depth < 3 else 0):
            found[name] = instance(inner, root, rng, depth + 1)
    extra = schema.get("additionalProperties", {})
    if "properties" not in schema and extra is not False:
        for name in rng.sample(WORDS, rng.randint(0, 3) if depth < 3 else 0):
            found[name] = instance(extra, root, rng, depth + 2)
    for pattern, inner in schema.get("patternProperties", {}).items():
        found |= {PATTERNS[pattern](rng): instance(inner, root, rng, depth + 1) for _ in range(rng.randint(1, 4))}
    return found


def _items(schema: Schema, root: Schema, rng: random.Random, depth: int) -> Any:
    found = [instance(inner, root, rng, depth + 1) for inner in schema.get("prefixItems", ())]
    items = schema.get("items", {})
    if items is not False:
        least = schema.get("minItems", 0)
        most = min(schema.get("maxItems", least + 3), least + 3) if depth < 3 else least
        found += [instance(items, root, rng, depth + 1) for _ in range(rng.randint(least, most) - len(found))]
    return found


def _scalar(schema: Schema, root: Schema, rng: random.Random, depth: int) -> Any:
    kind = schema["type"]
    if kind == "null":
        return None
    if kind == "boolean":
        return rng.random() < 0.5
    if kind == "string":
        if "format" in schema:
            return FORMATS[schema["format"]](rng)
        if "pattern" in schema:
            return PATTERNS[schema["pattern"]](rng)
        words = " ".join(rng.choices(WORDS, k=rng.randint(1, 6)))
        return rng.choice([words, words.title(), f"{words} - {rng.choice(['große', 'naïve', 'plain'])} “{words[:4]}”"])[
            : schema.get("maxLength", 200)
        ]
    low = schema.get("minimum", schema.get("exclusiveMinimum", -1000 if kind == "number" else -50))
    high = schema.get("maximum", max(low + 1000, 1000))
    if kind == "integer":
        step = schema.get("multipleOf", 1)
        return rng.randint(int(low // step) + ("exclusiveMinimum" in schema), int(high // step)) * step
    return round(rng.uniform(low, high), rng.choice([1, 2, 3])) or 1


def main() -> None:
    """Write the file."""
    rng = random.Random(20201212)
    schemas = by_hand()
    while len(schemas) < COUNT:
        name, schema = put_together(len(schemas), rng)
        schemas[name] = schema
    with PATH.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as file:
        for name, schema in schemas.items():
            jsonschema.Draft202012Validator.check_schema(schema)
            validator = jsonschema.Draft202012Validator(schema)
            instances: list[Any] = []
            while len(instances) < 3:
                value = instance(schema, schema, rng)
                if validator.is_valid(value):
                    instances.append(value)
            line = {"name": name, "schema": schema, "instances": instances}
            file.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")


if __name__ == "__main__":
    main()

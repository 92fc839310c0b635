#!/usr/bin/env python3
"""Makes features.json: the places of the IANA time zone database.

zone1970.tab is in the public domain and comes with every system's tzdata.
Each of its lines names a city by its zone (America/New_York) with the
coordinates of the city and the codes of the countries that keep its time; the
first code is the city's own. The result is shape A of a feature database: E7
coordinates, and names such as "New York, US".

    python3 config/features.py [zone1970.tab] > config/features.json
"""

import json
import re
import sys

TAB = "/usr/share/zoneinfo/zone1970.tab"


def e7(text: str) -> int:
    """ISO 6709 degrees, minutes and maybe seconds (+DDMM, +DDDMMSS) in E7."""
    sign = -1 if text[0] == "-" else 1
    digits = text[1:]
    width = 2 if len(digits) in (4, 6) else 3
    degrees, rest = int(digits[:width]), digits[width:]
    seconds = degrees * 3600 + int(rest[:2]) * 60 + int(rest[2:] or 0)
    return sign * ((seconds * 10_000_000 + 1800) // 3600)


def features(lines):
    for line in lines:
        if line.startswith("#") or not line.strip():
            continue
        countries, coordinates, zone = line.rstrip("\n").split("\t")[:3]
        latitude, longitude = re.fullmatch(r"([+-]\d+)([+-]\d+)", coordinates).groups()
        city = zone.rsplit("/", 1)[-1].replace("_", " ")
        yield {
            "location": {"latitude": e7(latitude), "longitude": e7(longitude)},
            "name": f"{city}, {countries.split(',')[0]}",
        }


def main() -> None:
    with open(sys.argv[1] if len(sys.argv) > 1 else TAB, encoding="utf-8") as tab:
        rows = sorted(features(tab), key=lambda row: row["name"])
    print("[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]")


if __name__ == "__main__":
    main()

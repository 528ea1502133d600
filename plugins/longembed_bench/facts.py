"""What the generated tasks hide in documents: names for pass keys, and a hundred facts."""

from __future__ import annotations

from pathlib import Path

FIRST_NAMES = (
    *("Ada", "Amir", "Bea", "Bruno", "Carla", "Chidi", "Dora", "Emil", "Farah", "Felix", "Greta"),
    *("Hana", "Hugo", "Ines", "Ivan", "Jonas", "Kemal", "Lena", "Luis", "Mara", "Mina", "Nils"),
    *("Noor", "Olga", "Omar", "Paula", "Petra", "Rafael", "Rosa", "Sven", "Tara", "Theo", "Vera"),
    *("Viktor", "Wanda", "Yara", "Yusuf", "Zoe"),
)
LAST_NAMES = (
    *("Abbott", "Almeida", "Bauer", "Becker", "Castro", "Cole", "Dahl", "Duarte", "Ekman", "Farr"),
    *("Fischer", "Gallo", "Haddad", "Holt", "Ito", "Jansen", "Kaya", "Keller", "Lindgren", "Lopez"),
    *("Marsh", "Mendes", "Novak", "Okafor", "Olsen", "Park", "Quinn", "Reyes", "Rossi", "Sato"),
    *("Silva", "Stone", "Tanaka", "Urban", "Vogel", "Walsh", "Young", "Zhang"),
)

_LINES = Path(__file__).with_name("facts.tsv").read_text(encoding="utf8").splitlines()

FACTS = tuple((fact, question) for fact, question in (line.split("\t") for line in _LINES))
"""A fact and the question that it answers, over many domains."""

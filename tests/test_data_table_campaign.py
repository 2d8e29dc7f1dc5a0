# ruff: noqa: E501 - what is written and what is said about it stand on one line
"""Tables as people have them: each is read to the numbers that stand beside it, or refused in words.

What is read is held against numbers written by hand. Of what is refused, the message must name the file or
the key, the place, and what to do. Each table that is read is then read once more, as new data, by the reader
that the first reading left behind, after a way through JSON.
"""

import codecs
import json
import random
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from nnlab.data import prepare, read_csv
from nnlab.data.table import TableReader
from nnlab.errors import DataError
from nnlab.lab.sections import TableSection


@dataclass(frozen=True)
class Right:
    """What a table holds: features row by row, targets, and what its notes say and must not say."""

    inputs: list[list[float]]
    targets: list[Any]
    notes: tuple[str, ...] = ()
    silent: bool = False


@dataclass(frozen=True)
class Case:
    content: str | bytes
    keys: dict[str, Any] = field(default_factory=dict)


def table(content: str | bytes, **keys: Any) -> Case:
    return Case(content, keys)


AB = [[1.0, 2.0], [3.0, 4.5]]
UV = ["u", "v"]
PLAIN = Right(AB, UV, silent=True)


def noted(*notes: str) -> Right:
    return Right(AB, UV, notes)


RIGHT: dict[str, tuple[Case, Right]] = {
    # --- separators
    "commas": (table("a,b,y\n1,2,u\n3,4.5,v\n"), PLAIN),
    "semicolons": (table("a;b;y\n1;2;u\n3;4.5;v\n"), noted("cells separated by a semicolon")),
    "tabs": (table("a\tb\ty\n1\t2\tu\n3\t4.5\tv\n"), noted("cells separated by a tab")),
    "pipes": (table("a|b|y\n1|2|u\n3|4.5|v\n"), noted(r"cells separated by a \|")),
    "blanks by key": (table("a   b y\n1  2   u\n 3 4.5 v\n", separator="space"), noted("by blanks")),
    "Excel's sep= line": (table("sep=;\na;b;y\n1;2;u\n3;4,5;v\n"), noted("semicolon, decimal commas")),
    "a sep= line in quotes": (table('"sep=|"\r\na|b|y\r\n1|2|u\r\n3|4.5|v\r\n'), noted(r"a \|")),
    "a sep= line with a tab": (table("sep=\t\na\tb\ty\n1\t2\tu\n3\t4.5\tv\n"), noted("a tab")),
    "a sep= line with a comma": (table("sep=,\na,b,y\n1,2,u\n3,4.5,v\n"), PLAIN),
    "a key beats the sep= line": (table("sep=,\na;b;y\n1;2;u\n3;4.5;v\n", separator=";"), noted("semicolon")),
    "semicolons inside texts": (table("a,b,y\n1,2,u;w\n3,4.5,v\n"), Right(AB, ["u;w", "v"], silent=True)),
    "the target tells the separator": (
        table("a,b;c;y\n1,5;2;u\n2,5;4;v\n"),
        Right([[1.5, 2.0], [2.5, 4.0]], UV, ("decimal commas",)),
    ),
    "tabs and blanks in texts": (
        table("a\tb\ty\n1\t2\tu w\n3\t4.5\tv\n"),
        Right(AB, ["u w", "v"], ("a tab",)),
    ),
    # --- decimal marks
    "decimal commas": (
        table("a;b;y\n1,0;2,0;u\n3,0;4,5;v\n"),
        noted("semicolon, decimal commas"),
    ),
    "decimal commas in quotes": (table('a,b,y\n1,"2,0",u\n3,"4,5",v\n'), noted("decimal commas")),
    "decimal commas and tabs": (table("a\tb\ty\n1\t2,0\tu\n3\t4,5\tv\n"), noted("a tab, decimal commas")),
    "one cell tells the mark for all": (
        table("a;b;y\n1,234;0,5;u\n2,345;1,5;v\n"),
        Right([[1.234, 0.5], [2.345, 1.5]], UV, ("decimal commas",)),
    ),
    "three digits behind a point": (
        table("a;b;y\n1.234;0.5;u\n2.345;1.5;v\n"),
        Right([[1.234, 0.5], [2.345, 1.5]], UV, ("semicolon",)),
    ),
    "three digits behind a point beside commas": (
        table("a,b,y\n1.234,7,u\n2.345,8,v\n"),
        Right([[1.234, 7.0], [2.345, 8.0]], UV, silent=True),
    ),
    "a mark by key": (
        table("a;b;y\n1,234;7;u\n2,345;8;v\n", decimal="comma"),
        Right([[1.234, 7.0], [2.345, 8.0]], UV, ("decimal commas",)),
    ),
    "a point by key": (
        table("a;b;y\n1.234;7;u\n2.345;8;v\n", decimal="."),
        Right([[1.234, 7.0], [2.345, 8.0]], UV, ("semicolon",)),
    ),
    "decimal commas in a regression": (
        table("a;y\n1,5;0,25\n2;-1,75\n", task="regression"),
        Right([[1.5], [2.0]], [0.25, -1.75], ("decimal commas",)),
    ),
    "decimal commas among labels": (
        table("a;b;y\n0,5;2;1,0\n0,25;3;1\n4;5;2,5\n"),
        Right([[0.5, 2.0], [0.25, 3.0], [4.0, 5.0]], ["1", "1", "2,5"], ("1, 1,0 are one number",)),
    ),
    "exponents and signs": (
        table("a,b,y\n+1e0,2.E+0,u\n30.0e-1,.45e1,v\n"),
        PLAIN,
    ),
    "a true minus sign": (
        table("a,b,y\n−1,2,u\n3,1e−1,v\n"),
        Right([[-1.0, 2.0], [3.0, 0.1]], UV, silent=True),
    ),
    # --- encodings
    "a byte order mark": (table(codecs.BOM_UTF8 + b"a,b,y\n1,2,u\n3,4.5,v\n"), PLAIN),
    "Excel's Unicode text": (
        table("a\tb\ty\r\n1\t2\tu\r\n3\t4,5\tv\r\n".encode("utf-16")),
        noted("a tab, text in UTF-16, decimal commas"),
    ),
    "UTF-16, the other end first": (
        table(codecs.BOM_UTF16_BE + "a,b,y\n1,2,ü\n3,4.5,v\n".encode("utf-16-be")),
        Right(AB, ["ü", "v"], ("UTF-16",)),
    ),
    "UTF-16 without a mark": (table("a,b,y\n1,2,u\n3,4.5,v\n".encode("utf-16-le")), noted("UTF-16-LE")),
    "UTF-32": (table("a,b,y\n1,2,u\n3,4.5,v\n".encode("utf-32")), noted("UTF-32")),
    "Latin-1": (
        table("a,b,y\n1,2,Käse\n3,4.5,v\n".encode("latin-1")),
        Right(AB, ["Käse", "v"], (r"Windows-1252 and not UTF-8 \(Käse\)",)),
    ),
    "Windows-1252 in the header": (
        table("Größe;Preis €;y\n1;2;u\n3;4,5;v\n".encode("cp1252")),
        noted("Windows-1252", "Größe"),
    ),
    "UTF-8 with a mark and a key": (
        table(codecs.BOM_UTF8 + b'"a",b,y\n1,2,u\n3,4.5,v\n', encoding="utf8"),
        PLAIN,
    ),
    "Cyrillic by key": (
        table("a,b,y\n1,2,да\n3,4.5,нет\n".encode("cp1251"), encoding="cp1251"),
        Right(AB, ["да", "нет"]),
    ),
    "UTF-8 of every kind": (table("a,b,y\n1,2,猫\n3,4.5,🐕\n"), Right(AB, ["猫", "🐕"], silent=True)),
    # --- lines
    "Windows line ends": (table("a,b,y\r\n1,2,u\r\n3,4.5,v\r\n"), PLAIN),
    "old Macintosh line ends": (table("a,b,y\r1,2,u\r3,4.5,v\r"), PLAIN),
    "no last line end": (table("a,b,y\n1,2,u\n3,4.5,v"), PLAIN),
    "blank lines": (table("\n\na,b,y\n\n1,2,u\n   \n3,4.5,v\n\n\n"), PLAIN),
    "Excel's empty rows": (table("a;b;y\n1;2;u\n3;4,5;v\n;;\n;;\n"), noted("semicolon")),
    "Excel's empty columns": (table("a;b;y;;\n1;2;u;;\n3;4,5;v;;\n;;;;\n"), noted("semicolon")),
    "empty cells behind the last column": (table("a,b,y\n1,2,u,\n3,4.5,v,,\n"), PLAIN),
    "an empty column without a name": (
        table("a,,b,y\n1,,2,u\n3,,4.5,v\n"),
        noted("line 1: column 2 has no name and is empty; it is left out"),
    ),
    "the index of pandas": (
        table(",a,b,y\n0,1,2,u\n1,3,4.5,v\n"),
        noted("column 1 has no name and numbers the rows; it is left out"),
    ),
    "the shuffled index of pandas": (table(",a,b,y\n17,1,2,u\n4,3,4.5,v\n"), noted("numbers the rows")),
    "quotes around everything": (table('"a","b","y"\n"1","2","u"\n"3","4.5","v"\n'), PLAIN),
    "quotes within quotes": (
        table('a,b,y\n1,2,"u ""x"""\n3,4.5,v\n'),
        Right(AB, ['u "x"', "v"], silent=True),
    ),
    "a line break in quotes": (
        table('a,b,y\n1,2,"u\nw"\n3,4.5,v\n'),
        Right(AB, ["u\nw", "v"], silent=True),
    ),
    "blanks around cells": (table("a , b,y \n 1, 2 , u\n3 ,4.5,v\n"), PLAIN),
    "blanks before quotes": (table('a, b, y\n1, "2", "u"\n3, 4.5, v\n'), PLAIN),
    "blanks that do not break": (table("a,b,y\n\u00a01,2\u00a0,u\n3,4.5,v\u00a0\n"), PLAIN),
    # --- labels
    "1, 1.0 and 01 are one class": (
        table("a,y\n5,1\n6,1.0\n9, 1\n2,01\n3,2\n"),
        Right([[5], [6], [9], [2], [3]], ["1", "1", "1", "1", "2"], (r"1, 01, 1\.0 are one number",)),
    ),
    "1 and 1.0 among texts are one class": (
        table("a,y\n5,1\n6,1.0\n9,b\n"),
        Right([[5], [6], [9]], ["1", "1", "b"], ("mixes numbers and texts: 1 beside b", "1, 1.0 are one")),
    ),
    "numbers with an exponent out of all bounds": (
        table("a,y\n5,1e-99999999999999999999\n6,1e-9\n"),
        Right([[5], [6]], ["1e-99999999999999999999", "1e-9"], ("mixes",)),
    ),
    "long numbers are kept apart": (
        table("a,y\n5,9007199254740993\n6,9007199254740992\n"),
        Right([[5], [6]], ["9007199254740993", "9007199254740992"], silent=True),
    ),
    "None among labels": (
        table("a,y\n5,None\n6,v\n9,v\n2,None\n"),
        Right([[5], [6], [9], [2]], ["None", "v", "v", "None"], ("the class None of y may stand for a missing target",)),
    ),
    "Yes and yes": (
        table("a,y\n5,Yes\n6,yes\n9,YES \n2,No\n"),
        Right([[5], [6], [9], [2]], ["Yes", "yes", "YES", "No"], (r"YES \(1\) and Yes \(1\) and yes \(1\) look",)),
    ),
    "one letter, composed and not": (
        table("a,y\n5,caf\u00e9\n6,cafe\u0301\n"),
        Right([[5], [6]], ["caf\u00e9", "cafe\u0301"], (r"'cafe\\u0301' \(1\) and café \(1\) look alike",)),
    ),
    "a Cyrillic letter among Latin ones": (
        table("a,y\n5,cat\n6,c\u0430t\n"),
        Right([[5], [6]], ["cat", "c\u0430t"], (r"cat \(1\) and 'c\\u0430t' \(1\) look alike",)),
    ),
    "two blanks within a label": (
        table("a,y\n5,u v\n6,u  v\n"),
        Right([[5], [6]], ["u v", "u  v"], ("look alike",)),
    ),
    "what Excel and databases write for a gap": (
        table("a;b;y\n1;2;u\n#NV;4,5;v\n#N/D;4,5;v\n3;\\N;v\n3;4,5;v\n", missing="drop"),
        noted("values are missing in lines 3, 4, 5"),
    ),
    "an error of a spreadsheet as a label": (
        table("a,y\n5,#REF!\n6,u\n"),
        Right([[5], [6]], ["#REF!", "u"], ("the class #REF! of y may stand for a missing target",)),
    ),
    "a category that may be a gap": (
        table("c,y\nr,u\nk.A.,v\n", text="one_hot"),
        Right([[0, 1], [1, 0]], UV, ("column c: the category k.A. may stand for a missing value",)),
    ),
    "missing labels, left out": (
        table("a,y\n5,u\n6,NA\n9,\n2,v\n", missing_target="drop"),
        Right([[5], [2]], UV, ("target is missing in lines 3, 4; left out",)),
    ),
    "NA is a class by key": (
        table("a,y\n5,NA\n6,u\n9,?\n", missing_target="class"),
        Right([[5], [6], [9]], ["NA", "u", "?"], silent=True),
    ),
    "true and false as labels": (
        table("a,y\n5,True\n6,False\n"),
        Right([[5], [6]], ["True", "False"], silent=True),
    ),
    "a missing quantity, left out": (
        table("a,y\n5,1.5\n6,nan\n9,2\n", task="regression", missing_target="drop"),
        Right([[5], [9]], [1.5, 2.0], ("target is missing in line 3; left out",)),
    ),
    # --- columns
    "chosen columns, in their order": (
        table("x,b,a,y\nno,2,1,u\nno,4.5,3,v\n", columns=["a", "b"]),
        PLAIN,
    ),
    "ignored columns": (table("x,a,b,y\nno,1,2,u\nno,3,4.5,v\n", ignore=["x"]), PLAIN),
    "numbers and texts as names": (
        table("2019,2020,y\n1,2,u\n3,4.5,v\n"),
        PLAIN,
    ),
    "truths are 0 and 1": (
        table("a,y\nTrue,u\nFALSE,v\n"),
        Right([[1.0], [0.0]], UV, silent=True),
    ),
    "texts, one-hot": (
        table("a,c,y\n1,red,u\n3,blue,v\n9,red,u\n", text="one_hot"),
        Right([[1, 0, 1], [3, 1, 0], [9, 0, 1]], ["u", "v", "u"], ("column c: 2 categories.*blue, red",)),
    ),
    "numbers, one-hot": (
        table("zip,y\n10115,u\n80331,v\n10115.0,v\n", categories=["zip"]),
        Right([[1, 0], [0, 1], [1, 0]], ["u", "v", "v"], ("10115, 10115.0 are one number",)),
    ),
    "mixed cells, one-hot": (
        table("c,y\n1,u\nA,v\n1,v\n", categories=["c"]),
        Right([[1, 0], [0, 1], [1, 0]], ["u", "v", "v"], ("mixes numbers and texts",)),
    ),
    # --- missing values
    "missing values, rows left out": (
        table("a,b,y\n1,2,u\n7,,v\nNA,3,u\n3,4.5,v\n", missing="drop"),
        noted("values are missing in lines 3, 4 of .*; left out"),
    ),
    "missing values, a class left out": (
        table("a,b,y\n1,2,u\n,5,w\n3,4.5,v\n", missing="drop"),
        noted("line 3 of .*; left out, and with them every row of w in column y"),
    ),
    "missing values, means": (
        table("a,b,y\n1,2,u\n3,?,v\nnull,4,u\n", missing="mean"),
        Right([[1, 2], [3, 3], [2, 4]], ["u", "v", "u"], ("means of the training rows",)),
    ),
    "a missing category, means": (
        table("c,y\nr,u\nb,v\n,u\nr,v\n", text="one_hot", missing="mean"),
        Right([[0, 1], [1, 0], [1 / 3, 2 / 3], [0, 1]], ["u", "v", "u", "v"], ("means",)),
    ),
    # --- odd columns
    "a constant column": (
        table("a,b,k,y\n1,2,7,u\n3,4.5,7,v\n"),
        Right([[1, 2, 7], [3, 4.5, 7]], UV, ("column k is 7 in every training row",)),
    ),
    "row numbers as a feature": (
        table("n,b,y\n1,2,u\n2,4.5,v\n3,1,u\n"),
        Right([[1, 2], [2, 4.5], [3, 1]], ["u", "v", "u"], (r"column n counts the rows.*data.ignore: \[n\]",)),
    ),
    "an identifier as a feature": (
        table("user_id,b,y\n81,2,u\n12,4.5,v\n37,1,u\n"),
        Right([[81, 2], [12, 4.5], [37, 1]], ["u", "v", "u"], ("column user_id is different in every row",)),
    ),
    "codes with a zero in front": (
        table("zip,b,y\n01067,2,u\n80331,4.5,v\n"),
        Right([[1067, 2], [80331, 4.5]], UV, (r"column zip: 01067 in line 2 begins with a zero.*data\.categories: \[zip\]",)),
    ),
    "a number in place of a gap": (
        table("a,b,y\n-999,2,u\n3,4.5,v\n-999,1,u\n"),
        Right([[-999, 2], [3, 4.5], [-999, 1]], ["u", "v", "u"], ("column a: -999 in 2 rows is the only negative value",)),
    ),
    "a large number in place of a gap": (
        table("a,b,y\n1,2,u\n5,4.5,v\n99,3,u\n99,1,v\n"),
        Right([[1, 2], [5, 4.5], [99, 3], [99, 1]], [*UV, *UV], ("column a: 99 in 2 rows is far above all",)),
    ),
    "a large number that is near another": (
        table("a,y\n60,u\n99,v\n"),
        Right([[60], [99]], UV, silent=True),
    ),
    "a quantity with a number in place of a gap": (
        table("a,y\n5,1.5\n6,-999\n7,2.5\n", task="regression"),
        Right([[5], [6], [7]], [1.5, -999, 2.5], ("column y: -999 in 1 row is the only negative",)),
    ),
    "a column of texts that is the target": (
        table("c,y\n" + "ja,v\nnein,u\n" * 12, text="one_hot"),
        Right([[1, 0], [0, 1]] * 12, ["v", "u"] * 12, ("column c has one value for each class",)),
    ),
    "a column that is the target but for a row": (
        table("c,y\n" + "1,v\n0,u\n" * 12 + "1,u\n"),
        Right([*[[1.0], [0.0]] * 12, [1.0]], ["v", "u"] * 12 + ["u"], silent=True),
    ),
    "an identifier in one word": (
        table("KundenNr,y\n70,u\n40,v\n90,u\n"),
        Right([[70], [40], [90]], ["u", "v", "u"], ("column KundenNr is different in every row",)),
    ),
    "true negative numbers": (
        table("a,b,y\n-999,2,u\n-3,4.5,v\n"),
        Right([[-999, 2], [-3, 4.5]], UV, silent=True),
    ),
    "a line break in a name": (
        table('"a (in\n cm)",b,y\n1,2,u\n3,4.5,v\n', columns=["a (in cm)", "b"]),
        PLAIN,
    ),
    "digits that a double rounds away": (
        table("a,b,y\n10000000000000001,2,u\n10000000000000002,4.5,v\n10000000000000004,1,v\n"),
        Right([[1e16, 2], [10000000000000002, 4.5], [10000000000000004, 1]], ["u", "v", "v"], ("rounds away",)),
    ),
    "few values as a quantity": (
        table("a,y\n" + "".join(f"{k * k},{k % 3}\n" for k in range(30)), task="regression"),
        Right([[k * k] for k in range(30)], [float(k % 3) for k in range(30)], ("only the values 0, 1, 2",)),
    ),
    "a class for almost every row": (
        table("a,y\n" + "".join(f"{k * k},{k * 7}\n" for k in range(30))),
        Right([[k * k] for k in range(30)], [str(k * 7) for k in range(30)], ("30 classes in 30 rows.*regression",)),
    ),
    "a feature that is the target": (
        table("a,b,y\n" + "".join(f"{k % 2},{k * k},{k % 2}\n" for k in range(30))),
        Right([[k % 2, k * k] for k in range(30)], [str(k % 2) for k in range(30)], ("column a equals the target",)),
    ),
    "values many deviations away": (
        table("a,y\n" + "0,u\n" * 20 + "1e30,v\n"),
        Right([[0.0]] * 20 + [[1e30]], ["u"] * 20 + ["v"], silent=True),
    ),
}  # fmt: skip


WRONG: dict[str, tuple[Case, str]] = {
    # --- files
    "an Excel workbook": (table(b"PK\x03\x04" + bytes(40)), r"table\.csv: this is an Excel workbook.*save"),
    "an old workbook": (table(b"\xd0\xcf\x11\xe0" + bytes(40)), "an old Excel workbook; save"),
    "a compressed table": (table(b"\x1f\x8b\x08" + bytes(40)), "compressed with gzip; unpack it"),
    "a page of HTML": (table("<!doctype html><html>a,b,y</html>"), "a page of HTML"),
    "a pointer of Git LFS": (table("version https://git-lfs.github.com/spec/v1\noid x\n"), "git lfs pull"),
    "zero bytes": (table(b"a,b,y\n1,\x00,u\n"), "bytes that are zero"),
    "nothing": (table(""), "the file is empty; its first line must name the columns"),
    "nothing but blank lines": (table("\n \n,,\n"), "the file is empty"),
    "damaged UTF-8": (table("a,y\n1,ü\n2,".encode() + b"\xfc\n"), r"damaged letter in line 3, character 3.*data\.encoding"),
    "Cyrillic without a key": (table("a,y\n1,да\n2,нет\n".encode("cp1251")), r"nor in a Western.*line 2.*data\.encoding"),
    "bytes of no Western letter": (table(b"a,y\n1,u\x81\n"), r"line 2, character 4 \('u.x81'\).*data\.encoding"),
    "half of UTF-16": (table("a,y\n1,u\n".encode("utf-16")[:-1]), "no text in UTF-16"),
    "a wrong key of encoding": (table("a,y\n1,ü\n".encode("latin-1"), encoding="utf-8"), r"data\.encoding: .*line 2"),
    # --- headers
    "no header": (table("1,2,3\n4,5,6\n"), "line 1: it must name the columns, but holds only numbers"),
    "a row in place of the header": (table("5.1,3.5,setosa\n4.9,3.0,setosa\n"), "Line 1 looks like data: the first line must name"),
    "lines above the header": (table("Export of the lab\n2020\na,b,y\n1,2,u\n"), "Line 3 names it: remove what stands above"),
    "two equal names": (table("a,a,y\n1,2,u\n"), r"line 1: two columns are named a \(1 and 2\)"),
    "a nameless column of values": (table("a,,y\n1,2,u\n"), r"line 1: column 2 has no name, but holds values such as '2' in line 2"),
    "a nameless column of texts in front": (table(",a,y\nx,1,u\n"), "column 1 has no name, but holds values such as 'x'"),
    "row names of R": (table('"a","y"\n"1",5,"u"\n"2",6,"v"\n'), "line 2: 3 cells, but the header names 2"),
    "row names of R, separated by tabs": (table("a\ty\n1\t5\tu\n2\t6\tv\n"), "line 2: 3 cells.*the header lacks a name, as it does for the row names of R"),
    "a mistyped target": (table("a,Y\n1,u\n"), r"data\.target: y is no column of .*table\.csv; .*Allowed: Y, a"),
    "only the target": (table("y\nu\n"), "target y is the only column"),
    "an unknown separator": (table("a:y\n1:u\n"), "separated by commas, semicolons, tabs or |"),
    "blanks as separators": (table("a y\n1 u\n"), r"data\.separator: space"),
    "a sep= line of another sign": (table("sep=:\na:y\n1:u\n"), "line 1: sep=: names a separator that is none of"),
    "the header repeated": (table("a,y\n1,u\na,y\n2,v\n"), "line 3: it repeats the header line; remove it"),
    "no rows": (table("a,y\n"), "there is no row below the header line"),
    # --- rows
    "too few cells": (table("a,b,y\n1,2,u\n3,v\n"), "line 3: 2 cells, but the header names 3 columns"),
    "too many cells": (table("a,b,y\n1,2,u\n3,4,v,w\n"), "line 3: 4 cells, but the header names 3 columns"),
    "decimal commas between commas": (table("a,b,y\n1,5,2,u\n3,0,4,v\n"), "line 2: 4 cells.*decimal comma, must stand in quotes, or semicolons"),
    "another separator below the header": (table("a,b,y\n1;2;u\n3;4;v\n"), "line 2: 1 cell, but .*it has 3 where a semicolon separates"),
    "an open quote": (table('a,y\n1,"u\n2,v\n'), "not a valid csv row.*quote that opens must be closed.*line 2"),
    "text behind a quote": (table('a,y\n1,"u"x\n'), "line 2: this is not a valid csv row"),
    # --- numbers
    "a text among numbers": (table("a,y\n1,u\n2,v\ntall,u\n"), r"line 4, column a: 'tall' is not a finite number \(numbers in other cells of the column: 2\).*data\.categories: \[a\]"),
    "a column of texts": (table("a,c,y\n1,red,u\n2,blue,v\n"), r"line 2, column c: 'red' is not a finite.*data\.text: one_hot.*data\.ignore: \[c\]"),
    "a mixed column, one-hot": (table("c,y\n1,u\nA,v\n", text="one_hot"), r"line 3, column c: 'A' .*data\.categories: \[c\]"),
    "a very long text among numbers": (table("a,y\n1,u\n" + "1.2," * 20 + "x" * 9 + ",v\n"), "line 3: 22 cells"),
    "a very long number": (table("a;y\n1;u\n" + "1.2," * 20000 + "x;v\n"), r"line 3, column a: '1\.2,1\.2,.*'… is not a finite number"),
    "percent": (table("a,y\n12%,u\n13%,v\n"), r"line 2, column a: '12%'.*without the percent sign"),
    "units": (table("a,y\n12 cm,u\n13 cm,v\n"), r"'12 cm'.*without a unit"),
    "money": (table("a,y\n$12,u\n$13,v\n"), r"line 2, column a: '\$12'.*without a unit"),
    "dates": (table("a,y\n2020-01-31,u\n2020-02-01,v\n"), r"'2020-01-31'.*a date or a time"),
    "German dates": (table("a;y\n31.01.2020;u\n01.02.2020;v\n"), r"'31\.01\.2020'.*a date or a time"),
    "times": (table("a,y\n12:30,u\n13:00,v\n"), "a date or a time"),
    "an infinity": (table("a,y\n1,u\ninf,v\n"), "line 3, column a: 'inf' .*infinite value"),
    "an error of a spreadsheet": (table("a,y\n1,u\n#DIV/0!,v\n"), "line 3, column a: '#DIV/0!'.*error of a spreadsheet"),
    "grouped thousands in quotes": (table('a,y\n"1,234.5",u\n"2,000.0",v\n'), r"'1,234\.5'.*groups of thousands"),
    "grouped thousands by points": (table("a;y\n1.234.567;u\n2;v\n"), r"'1\.234\.567'.*groups of thousands"),
    "grouped thousands by blanks": (table("a;y\n1 234;u\n2;v\n"), "'1 234'.*groups of thousands"),
    "grouped thousands by underscores": (table("a,y\n1_000,u\n2,v\n"), "'1_000'.*groups of thousands"),
    "a comma that may part thousands": (table("a;y\n1,234;u\n2,345;v\n"), r"line 2, column a: 1,234 may be 1\.234 or 1234; set data\.decimal: comma"),
    "the same in quotes": (table('a,y\n"1,234",u\n"2,345",v\n'), r"1,234 may be 1\.234 or 1234"),
    "a point that may part thousands": (table("a;y\n1.200;u\n950;v\n"), r"line 2, column a: 1\.200 may be 1\.200 or 1200; set data\.decimal: point"),
    "points and commas": (table("a;b;y\n1,5;2;u\n1;2.5;v\n"), r"decimal commas and decimal points.*line 2, column a: 1,5 and line 3, column b: 2\.5"),
    "a comma against the key": (table("a;y\n1,5;u\n2;v\n", decimal="point"), r"'1,5'.*data\.decimal: comma"),
    "a point against the key": (table("a;y\n1.5;u\n2;v\n", decimal="comma"), r"'1\.5'.*a decimal point in a table with decimal commas"),
    "beyond float32": (table("a,y\n1e39,u\n1,v\n"), r"line 2, column a: 1e\+39 is beyond float32.*larger units"),
    "truths among numbers": (table("a,y\n1,u\ntrue,v\n"), "line 3, column a: 'true' is not a finite number"),
    # --- missing values
    "an empty cell": (table("a,y\n1,u\n,v\n"), r"line 3, column a: an empty cell.*data\.missing: drop.*mean"),
    "NA among numbers": (table("a,y\n1,u\nNA,v\n"), r"line 3, column a: 'NA' .*data\.missing: drop"),
    "an empty category": (table("c,y\nr,u\n,v\n", text="one_hot"), r"line 3, column c: an empty cell.*data\.missing"),
    "an empty column": (table("a,b,y\n1,,u\n2,,v\n", missing="mean"), r"every cell of column b is empty.*data\.ignore: \[b\]"),
    "an empty column of categories": (table("c,b,y\n,1,u\n,2,v\n", categories=["c"], missing="mean"), r"every cell of column c is empty"),
    "nothing is left": (table("a,b,y\n1,,u\n,2,v\n", missing="drop"), r"missing in every row, and data\.missing is drop"),
    # --- targets
    "an empty label": (table("a,y\n1,u\n2,\n"), r"line 3, column y: the target is empty.*data\.missing_target: drop"),
    "NA among labels": (table("a,y\n1,u\n2,NA\n3,nan\n"), r"line 3, column y: 'NA' says.*lines 3, 4.*data\.missing_target: class"),
    "? among labels": (table("a,y\n1,u\n2,?\n"), r"line 3, column y: '\?' says that the target is missing"),
    "no target at all": (table("a,y\n1,\n2,\n", missing_target="drop"), "column y: the target is missing in every row"),
    "a class as a quantity": (table("a,y\n1,u\n2,v\n", task="regression"), r"line 2, column y: 'u' is not.*data\.task: classification"),
    "an empty quantity": (table("a,y\n1,0.5\n2,\n", task="regression"), "line 3, column y: the target is empty"),
    "a huge quantity": (table("a,y\n1,1e39\n2,3\n", task="regression"), "line 2, column y: 1e39 is beyond float32"),
    "an infinite quantity": (table("a,y\n1,inf\n2,3\n", task="regression"), "line 2, column y: 'inf' is not a finite"),
    "missing quantities as a class": (table("a,y\n1,2\n", task="regression", missing_target="class"), r"data\.missing_target: class is for classes"),
    # --- keys
    "a mistyped column": (table("width,y\n1,u\n", columns=["widht"]), r"data\.columns: widht is no column.*did you mean width"),
    "a mistyped ignored column": (table("width,y\n1,u\n", ignore=["with"]), r"data\.ignore: with is no column.*did you mean width"),
    "a mistyped category": (table("width,y\n1,u\n", categories=["wdth"]), r"data\.categories: wdth is no.*did you mean width"),
    "a mistyped one among many": (table(",".join(["y", *(f"pixel{k}" for k in range(500))]) + "\n", columns=["pixl77"]), r"did you mean pixel77\?.*\(501 columns\)"),
    "the target as a feature": (table("a,y\n1,u\n", columns=["a", "y"]), r"data\.columns: y is the column of data\.target"),
    "the target ignored": (table("a,y\n1,u\n", ignore=["y"]), r"data\.ignore: y is the column of data\.target"),
    "chosen and ignored": (table("a,b,y\n1,2,u\n", columns=["a"], ignore=["a"]), r"data\.columns: a is also in data\.ignore"),
    "everything ignored": (table("a,y\n1,u\n", ignore=["a"]), "the target y is the only column left"),
    "a category that is not chosen": (table("a,b,y\n1,2,u\n", columns=["a"], categories=["b"]), r"data\.categories: b is not among data\.columns"),
    "too many categories": (table("c,y\n" + "".join(f"name {k},u\n" for k in range(30)), text="one_hot"), r"column c holds 30 different texts in 30 rows.*data\.ignore: \[c\]"),
    # --- spreads
    "a spread that is no number": (table("a,b,y\n0,1,u\n1e-320,2,v\n"), r"column a: it cannot be standardized.*data\.ignore: \[a\]"),
    "a quantity of no spread": (table("a,y\n1,0\n2,1e-320\n", task="regression"), r"column y: the target's standard deviation.*smaller units"),
}  # fmt: skip


def test_there_are_enough_tables() -> None:
    assert len(RIGHT) + len(WRONG) >= 90


def load(folder: Path, case: Case) -> Any:
    path = folder / "table.csv"
    path.write_bytes(case.content if isinstance(case.content, bytes) else case.content.encode())
    section = TableSection.model_validate({"path": str(path), "target": "y", **case.keys})
    raw = read_csv(path, **section.model_dump(exclude={"path"}))
    return prepare(
        raw, name="csv", validation=0.0, split_seed=0, standardize=False, device=torch.device("cpu"),
        dtype=torch.float64,
    )  # fmt: skip


@pytest.mark.parametrize("name", RIGHT)
def test_it_is_read_right(name: str, tmp_path: Path) -> None:
    case, right = RIGHT[name]
    data = load(tmp_path, case)
    torch.testing.assert_close(
        data.train.inputs, torch.tensor(right.inputs, dtype=torch.float64), rtol=1e-15, atol=0
    )
    if data.task == "classification":
        assert [data.class_names[k] for k in data.train.targets] == right.targets
    else:
        assert data.train.targets[:, 0].tolist() == right.targets
    for note in right.notes:
        assert re.search(note, "\n".join(data.notes)), data.notes
    assert not (right.silent and data.notes), data.notes

    stored = json.loads(json.dumps(data.reader.as_dict()))
    reader = TableReader.from_dict(stored)
    assert reader == data.reader
    again = reader.read(tmp_path / "table.csv")
    if case.keys.get("missing_target") == "drop":  # whose rows are new rows like others
        assert again.targets is None
        assert "the target is missing" in "\n".join(again.notes)
        return
    assert again.targets is not None
    torch.testing.assert_close(again.inputs, data.train.inputs, rtol=0, atol=0)
    torch.testing.assert_close(again.targets, data.train.targets, rtol=0, atol=0)


@pytest.mark.parametrize("name", WRONG)
def test_it_is_refused_in_words(name: str, tmp_path: Path) -> None:
    case, message = WRONG[name]
    with pytest.raises(DataError, match=message) as caught:
        load(tmp_path, case)
    text = str(caught.value)
    assert "\n" not in text
    assert str(tmp_path / "table.csv") in text or "data." in text


PIECES = (
    b",", b";", b"\t", b"|", b'"', b"\n", b"\r", b"\0", codecs.BOM_UTF8, b"\xff", b"\xe9", b"1", b".", b"5", b"nan", b"inf",
    b"-", b"e9", b"_", b" ", b"sep=;\n", b"NA", b"1e400", b"1e-320", b"\xe2\x80\xa8", b"true", b"y",
)  # fmt: skip

CHOICES: dict[str, list[Any]] = {
    "text": ["error", "one_hot"],
    "missing": ["error", "drop", "mean"],
    "missing_target": ["error", "drop", "class"],
    "task": ["classification", "regression"],
    "separator": [None, "comma", "semicolon", "tab", "space"],
    "decimal": [None, "point", "comma"],
    "encoding": [None, "utf-8", "cp1252", "utf-16", "utf-7", "utf-32", "ascii"],
    "ignore": [None, ["a"], ["b"]],
    "categories": [None, ["a"], ["b"]],
    "columns": [None, ["a"], ["a", "b"]],
}


def mutated(case: Case, draw: random.Random) -> Case:
    content = bytearray(case.content if isinstance(case.content, bytes) else case.content.encode())
    for _ in range(draw.randint(1, 3)):
        at = draw.randint(0, len(content))
        match draw.randrange(3):
            case 0:
                content[at:at] = draw.choice(PIECES)
            case 1:
                del content[at : at + draw.randint(1, 4)]
            case _:
                content[at:at] = content[draw.randint(0, len(content)) :][:10]
    chosen = draw.sample(list(CHOICES), draw.randint(0, 2))
    return Case(bytes(content), {**case.keys, **{key: draw.choice(CHOICES[key]) for key in chosen}})


@pytest.mark.parametrize("seed", range(5))
def test_damaged_tables_are_read_or_refused(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    cases, read = [case for case, _ in RIGHT.values()], 0
    for _ in range(100):
        case = mutated(draw.choice(cases), draw)
        try:
            data = load(tmp_path, case)
            new = data.reader.read(tmp_path / "table.csv")
        except DataError as error:
            assert "\n" not in str(error), case  # noqa: PT017
            continue
        read += 1
        for values in (data.train.inputs, data.train.targets, new.inputs):
            assert bool(values.isfinite().all()), case
    assert read > 5

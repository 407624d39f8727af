"""How values are made: attrs, with one way to compare, to hash and to show them all.

Rule 1: `frozen` and `define` mean what they mean in attrs, for types and at run time, and fields are `attrs.field`; of
these `eq`, `hash` and `repr` are True or False. Values that are ordered are left to attrs.
Rule 2: attrs would write and compile these methods anew for each class in each process: for 350 classes that took a
fifth of what a run takes to begin. What is needed of a class is looked up when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from attrs import define as define
    from attrs import frozen as frozen
else:
    from functools import cache, partial
    from operator import attrgetter
    from reprlib import recursive_repr

    def frozen(kind=None, **options):
        return _make(attrs.frozen, _hash, kind, options)

    def define(kind=None, **options):
        return _make(attrs.define, None, kind, options)

    def _make(make, hashing, kind, options):
        if kind is None:
            return partial(_make, make, hashing, options=options)
        if options.get("order") or "__eq__" in vars(kind) or issubclass(kind, BaseException):
            return make(kind, **options)
        if options.get("eq", True):
            kind.__eq__ = _eq
            kind.__hash__ = hashing
        if options.get("repr", True) and "__repr__" not in vars(kind):
            kind.__repr__ = _repr
        return make(kind, **{**options, "eq": False, "repr": False})

    def _eq(self, other):
        kind = self.__class__
        if other.__class__ is not kind:
            return NotImplemented
        read = _compared(kind)
        return read(self) == read(other)

    def _hash(self):
        kind = self.__class__
        return hash((kind, _hashed(kind)(self)))

    @recursive_repr()
    def _repr(self):
        kind = self.__class__
        name = kind.__qualname__.rpartition(">.")[2]
        return f"{name}({', '.join(f'{field}={getattr(self, field)!r}' for field in _shown(kind))})"

    @cache
    def _compared(kind):
        return _reader([field.name for field in attrs.fields(kind) if field.eq])

    @cache
    def _hashed(kind):
        fields = attrs.fields(kind)
        return _reader([field.name for field in fields if (field.eq if field.hash is None else field.hash)])

    @cache
    def _shown(kind):
        return [field.name for field in attrs.fields(kind) if field.repr]

    def _reader(names):
        return attrgetter(*names) if names else lambda value: ()

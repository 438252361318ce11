"""A bounded part of the Common Expression Language (CEL), with static types and three-valued logic.

`compile.compile_expression` is the door. Why no library (common-expression-language 0.10 and cel-expr-python 0.1.3 were
tried): they have no wheel for Python 3.10; they show no syntax tree, so that an unknown member or a condition that can
never hold could not be refused with its place; they have no value "unknown"; and converting the signals of one picture
takes 0.27 ms. That this is CEL is proved by tests that compare it with common-expression-language.

What there is: `&& || ! ?:`, comparisons, `in`, arithmetic, text, lists, members and indexes, `size contains startsWith
endsWith has`, and the macros `exists` and `all` over lists of signals. What there is not, so that every expression ends
in bounded time: nested macros, regular expressions, building of text, functions of one's own.
"""

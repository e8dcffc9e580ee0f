"""Text that came from outside, as a file's name, so that it can be printed: one line, no commands.

A file's name may hold anything but a slash and a zero byte: line ends, terminal escapes that clear
the screen or change its title, characters that turn the reading direction, bytes that are no text.
"""


def printable(text: str) -> str:
    r"""`text` with everything that has no shape of its own spelt out, as \x1b or \n."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)

# cython: language_level=3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The parser of `#HET` lines and `--het`, the one that the plugin runs, for Python."""

from hetslurm.errors import DirectiveError

include "request.pxi"


cdef extern from "directives.h" nogil:
    enum:
        HET_MAX_OPTION
        HET_PARSE_BAD
        HET_PARSE_NONE
        HET_PARSE_OK

    struct het_error:
        uint32_t line
        uint32_t column
        char word[64]
        char expected[192]
        char message[384]

    int het_parse(const char *script, size_t script_len, const char *option, size_t option_len,
                  het_request *request, het_error *error)
    size_t het_render(const het_request *request, char *out, size_t size)


def parse(bytes script, bytes option=None):
    """The request in the leading `#HET` lines of script and in the value of --het, either of them None.

    None when neither holds a directive, or option is "off"; raises DirectiveError for the first mistake.
    """
    cdef het_request request
    cdef het_error error
    cdef int verdict
    cdef const char *script_text = NULL
    cdef const char *option_text = NULL
    cdef size_t script_len = 0, option_len = 0
    if script is not None:
        script_text = script
        script_len = len(script)
    if option is not None:
        option_text = option
        option_len = len(option)
    with nogil:
        verdict = het_parse(script_text, script_len, option_text, option_len, &request, &error)
    if verdict == HET_PARSE_OK:
        return request_from(&request)
    if verdict == HET_PARSE_NONE:
        return None
    raise DirectiveError(
        (<const char *> error.message).decode("utf-8"),
        line=error.line,
        column=error.column,
        word=(<const char *> error.word).decode("utf-8"),
        expected=(<const char *> error.expected).decode("utf-8"),
    )


def render(request):
    """request as a --het string that parses to the same request (but for the lines of its targets).

    `work` keeps 15 significant digits. Raises ValueError for a request that no author could have written.
    """
    cdef het_request filled, again
    cdef het_error error
    cdef char text[HET_MAX_OPTION + 1]
    cdef size_t length
    cdef int verdict
    fill_request(request, &filled)
    length = het_render(&filled, text, sizeof(text))
    if length >= sizeof(text):
        raise ValueError("the request is too long for --het")
    verdict = het_parse(NULL, 0, text, length, &again, &error)
    if verdict == HET_PARSE_NONE:
        raise ValueError("a request without a target says nothing")
    if verdict != HET_PARSE_OK:
        raise ValueError((<const char *> error.message).decode("utf-8"))
    for i in range(filled.n_targets):
        filled.target[i].line = 0
    again.work = filled.work
    if request_from(&again) != request_from(&filled):
        raise ValueError(f"no --het string says exactly this: {text[:length].decode('utf-8')!r}")
    return text[:length].decode("utf-8")

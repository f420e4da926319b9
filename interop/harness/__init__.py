"""What every interoperation suite shares.

`packages` brings in what a suite needs and remembers it in a cache outside the repository,
`servers` starts and stops the server under test, `suite` reads the options and counts checks.

Only the standard library is used, so that a suite starts on a bare machine.
"""

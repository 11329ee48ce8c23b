"""The HTTP API as an OpenAPI 3.1 document: `GET /api/v1/openapi.json`.

    operations.py     the table: every route, its scope, parameters, bodies, answers, problems
    parameters.py     path, query and header parameters
    codes.py          problem codes in groups, and the status of each
    answers.py        the shapes of answers, for their schemas only
    examples/*.toml   requests and what they are answered with, in order: one story
    document.py       puts it together

Handlers take the raw request (decision 0009), so no framework can infer any of this. Tests hold it:
every route is here, every example is sent and answered so, every code that is raised is named.
"""

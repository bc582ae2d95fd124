"""Configuration files from Jinja2 templates; an undefined name is an error, not an empty string."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined


@cache
def _environment(package: str) -> Environment:
    return Environment(
        loader=PackageLoader(package),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - server configuration, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(package: str, template: str, **values: object) -> str:
    """The text of `templates/<template>` of an engine's package, filled with `values`."""
    return _environment(package).get_template(template).render(**values)

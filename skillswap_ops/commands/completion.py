"""`completion`: the shell completion script."""

import click
from click.shell_completion import get_completion_class


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    Example:
      eval "$(skillswap-ops completion bash)"
    """
    root = context.find_root()
    script = get_completion_class(shell)
    if script is None:
        raise click.UsageError(f"no completion for {shell}")
    name = "skillswap-ops"
    click.echo(script(root.command, {}, name, "_SKILLSWAP_OPS_COMPLETE").source())

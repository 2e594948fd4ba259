"""The command line: one short function per command, no logic."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from pointlift import plugins
from pointlift.commands.console import Messages, print_json, print_names, print_table, progress_shown, say
from pointlift.errors import InterruptedRunError, PluginError, PointliftError
from pointlift.memory import exhausted, ran_out

app = typer.Typer(
    help="Lift what pretrained 2D image models know into 3D point-cloud networks, and measure how well it arrived.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

DataRoot = Annotated[Path | None, typer.Option("--data-root", help="Folder of the data set, instead of the recipe's.")]
Teacher = Annotated[str | None, typer.Option(help="Folder or hub id of the teacher, instead of the recipe's.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Cpu = Annotated[bool, typer.Option("--cpu", help="Stay on the CPU even where there is a GPU.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="Override a key: KEY=VALUE, such as loss.temperature=0.1.")
]


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"pointlift {metadata.version('pointlift')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Say the version and exit.", callback=_say_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    import_: Annotated[
        list[str] | None, typer.Option("--import", help="A plug-in, such as my_log.py: data sets, losses, … of yours.")
    ] = None,
) -> None:
    """Lift what pretrained 2D image models know into 3D point-cloud networks, and measure how well it arrived."""
    logging.getLogger("pointlift").handlers = [Messages()]
    logging.getLogger("pointlift").setLevel(logging.INFO)


@app.command()
def pretrain(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe's name, a YAML file, or FILE:NAME.")],
    data_root: DataRoot = None,
    teacher: Teacher = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, order, augmentation and pairs.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; by default runs/RECIPE-seedK.")] = None,
    set_: Set = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Build everything, take two steps, say what the run would need.")
    ] = False,
    cpu: Cpu = False,
    as_json: Json = False,
) -> None:
    """Distil a 2D network into a 3D network; interrupt it at will, the same command again goes on.

    Example: pointlift pretrain semantickitti-small-relational --data-root DATA --teacher WEIGHTS
    """
    from pointlift import api
    from pointlift.recipe import parse_overrides
    from pointlift.students import keep_freed_memory

    keep_freed_memory()
    shortcuts = {"data.root": data_root, "teacher.source": teacher, "seed": seed}
    overrides = {key: value for key, value in shortcuts.items() if value is not None} | parse_overrides(set_ or [])
    if dry_run:
        _rehearse(recipe, overrides, cpu, as_json)
        return
    with progress_shown() as progress:
        loss_beside = [lambda step, method, metrics: progress.beside(f"loss {metrics['loss']:.4f}")]
        run = api.pretrain(recipe, overrides, out=out, progress=progress, callbacks=loss_beside, cpu=cpu)
    if _is_another_process():
        return
    last = run.metrics()[-1:] or [{"step": run.steps}]  # its log may have been deleted
    if as_json:
        print_json({"run": str(run.folder), **last[0]})
    else:
        loss = f", loss {last[0]['loss']:.4f}" if "loss" in last[0] else ""
        say(f"{run.folder}: step {int(last[0]['step'])}{loss}")


def _rehearse(recipe: str, overrides: dict[str, Any], cpu: bool, as_json: bool) -> None:
    from pointlift import api
    from pointlift.commands.rehearse import table

    with progress_shown() as progress:
        result = api.dry_run(recipe, overrides, progress=progress, cpu=cpu)
    if as_json:
        print_json(result)
    else:
        print_table(f"{result['recipe']}: two steps, and the whole run from them", ["", ""], table(result))


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    protocol: Annotated[str | None, typer.Option(help="How it is tested, one of `pointlift list protocols`.")] = None,
    task: Annotated[
        str | None, typer.Option(help="What is predicted, one of `pointlift list tasks`; by default segmentation.")
    ] = None,
    data_root: DataRoot = None,
    split: Annotated[str, typer.Option(help="The split that is measured.")] = "val",
    teacher: Teacher = None,
    label_data: Annotated[
        list[str] | None,
        typer.Option(help="An option in which the data that give labels differ from the recipe's: KEY=VALUE."),
    ] = None,
    test_data: Annotated[
        list[str] | None,
        typer.Option(help="An option in which the test data differ from those: KEY=VALUE, such as town=coast."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of whatever the protocol draws.")] = 0,
    set_: Set = None,
    cpu: Cpu = False,
    as_json: Json = False,
) -> None:
    """Measure what a run learned; the result is also kept in RUN/evaluation.

    Example: pointlift evaluate runs/semantickitti-small-relational-seed0 --protocol linear-probe
    """
    from pointlift import api
    from pointlift.commands.catalogue import chosen_protocol
    from pointlift.evaluation.table import tables
    from pointlift.recipe import parse_overrides

    protocol = chosen_protocol(protocol, task)
    with progress_shown() as progress:
        result = api.evaluate(
            run,
            protocol,
            parse_overrides(set_ or []),
            task=task,
            data_root=data_root,
            teacher=teacher,
            split=split,
            label_data=parse_overrides(label_data or []),
            test_data=parse_overrides(test_data or []),
            seed=seed,
            progress=progress,
            cpu=cpu,
        )
    if as_json:
        print_json(result.to_dict())
        return
    for title, heading, body in tables(result):
        print_table(title, heading, body)
    say(f"protocol and all figures in {run / 'evaluation'}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("demo"),
    seeds: Annotated[int, typer.Option(min=1, help="Distillation seeds; three give the spread.")] = 1,
    controls: Annotated[
        bool, typer.Option("--controls", help="Also shuffled pairs and a randomly initialised teacher.")
    ] = False,
    set_: Set = None,
    cpu: Cpu = False,
    as_json: Json = False,
) -> None:
    """The whole idea on embedded data, offline: streets, three losses, zero-shot, probe, structure, a report.

    Example: pointlift demo
    """
    from pointlift.commands import demo as demonstration
    from pointlift.students import keep_freed_memory

    keep_freed_memory()
    with progress_shown() as progress:
        summary = demonstration.demo(
            out, seeds=seeds, controls=controls, overrides=set_ or [], progress=progress, cpu=cpu
        )
    if as_json:
        print_json(summary.to_dict())
        return
    for title, heading, body in demonstration.tables(summary):
        print_table(title, heading, body)
    say(f"all figures: {out / 'results.json'}\nreport: {out / 'report.html'}")


@app.command()
def compare(
    study: Annotated[str, typer.Argument(help="A shipped study's name or a YAML file.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for runs, table and report; by default studies/STUDY.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Seeds 0, 1, … this many, instead of the study's.")] = None,
    controls: Annotated[bool, typer.Option(help="Whether to run what is wrong on purpose too.")] = True,
    parallel: Annotated[int, typer.Option(min=1, help="Runs at a time, each in a process of its own.")] = 1,
    data_root: DataRoot = None,
    teacher: Teacher = None,
    set_: Set = None,
    cpu: Cpu = False,
    as_json: Json = False,
) -> None:
    """Pretrain and evaluate recipes x seeds side by side: one table and one report; interrupt it at will.

    Example: pointlift compare concept-rooms-ablations --seeds 1
    """
    from pointlift.commands import compare as comparing
    from pointlift.recipe import parse_overrides
    from pointlift.students import keep_freed_memory

    keep_freed_memory()
    out = out or Path("studies") / Path(study).stem
    shortcuts = {"data.root": data_root, "teacher.source": teacher}
    overrides = {key: value for key, value in shortcuts.items() if value is not None} | parse_overrides(set_ or [])
    with progress_shown() as progress:
        table, _ = comparing.compare(
            study,
            out,
            seeds=seeds,
            controls=controls,
            overrides=overrides,
            parallel=parallel,
            progress=progress,
            cpu=cpu,
        )
    if as_json:
        print_json(table.to_dict())
        return
    print_table(table.title, *table.to_text())
    say(f"all figures: {out / 'comparison.json'}\nreport: {out / 'report.html'}")


@app.command()
def report(
    run: Annotated[list[Path], typer.Argument(help="One run folder, or several to compare.")],
    out: Annotated[Path | None, typer.Option(help="The HTML file; by default RUN/report.html.")] = None,
    data_root: DataRoot = None,
    teacher: Teacher = None,
    cpu: Cpu = False,
) -> None:
    """One self-contained page of what a run learned: tables, curves, structure, pictures, the largest errors.

    Example: pointlift report runs/semantickitti-small-relational-seed0
    """
    from pointlift import report as reports
    from pointlift.run import Run

    with progress_shown() as progress:
        page = reports.report(
            [Run(folder) for folder in run],
            out or run[0] / "report.html",
            data_root=data_root,
            teacher=teacher,
            progress=progress,
            cpu=cpu,
        )
    say(f"report: {page}")


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="A run folder.")],
    scan: Annotated[Path, typer.Argument(help="Your scan: .bin, .npy, .ply or .pcd.")],
    prompts: Annotated[
        str | None, typer.Option(help="What to look for, separated by commas; without it, features.")
    ] = None,
    template: Annotated[list[str] | None, typer.Option(help="Sentence around each prompt, {} its place.")] = None,
    intensity_scale: Annotated[float | None, typer.Option(help="Your intensity is divided by this.")] = None,
    teacher: Teacher = None,
    field: Annotated[
        list[str] | None, typer.Option(help="What your file calls a feature, such as intensity=i.")
    ] = None,
    scores: Annotated[bool, typer.Option("--scores", help="Also the cosine of each point with each prompt.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the results; by default predictions.")] = None,
    cpu: Cpu = False,
    as_json: Json = False,
) -> None:
    """Label a scan of your own by text prompts, or embed it: .npy for programs, coloured .ply for eyes.

    Example: pointlift predict demo/runs/street-relational-seed0 scan.bin --prompts "car,road,tree"
    """
    from pointlift.commands import predict as prediction

    asked = None if prompts is None else prompts.split(",")
    result = prediction.predict(
        run,
        scan,
        prompts=asked,
        out=out,
        templates=template,
        scores=scores,
        intensity_scale=intensity_scale,
        teacher=teacher,
        fields=prediction.field_map(field or []),
        cpu=cpu,
    )
    if as_json:
        print_json(result)
        return
    for title, heading, body in prediction.tables(result):
        print_table(title, heading, body)


@app.command()
def check(
    data: Annotated[str, typer.Argument(help="A data set's name, such as semantickitti.")],
    data_root: DataRoot = None,
    split: Annotated[str, typer.Option(help="Which split to look at.")] = "train",
    limit: Annotated[int, typer.Option(help="Look at this many scenes at most, spread evenly.")] = 20,
    out: Annotated[Path, typer.Option(help="Folder for the overlays.")] = Path("check"),
    set_: Set = None,
    as_json: Json = False,
) -> None:
    """Does my data line up? Counts, ranges, labels, what the cameras see, and points drawn on images.

    Example: pointlift check semantickitti --data-root DATA --out overlays
    """
    from pointlift.commands.check import check as run_check
    from pointlift.commands.check import tables
    from pointlift.data.opening import open_split
    from pointlift.recipe import parse_overrides

    options = {"split": split, **({"root": data_root} if data_root else {}), **parse_overrides(set_ or [])}
    with progress_shown() as progress:
        report = run_check(open_split(data, **options), limit=limit, out=out, progress=progress)
    if as_json:
        print_json(report)
        return
    for title, heading, body in tables(report):
        print_table(title, heading, body)
    say(f"overlays in {out}")


@app.command("list")
def list_(
    kind: Annotated[
        str, typer.Argument(help="datasets, teachers, students, losses, methods, tasks, protocols, recipes or studies.")
    ],
    as_json: Json = False,
) -> None:
    """What there is to choose from.

    Example: pointlift list losses
    """
    from pointlift.commands.catalogue import catalogue

    entries = catalogue(kind)
    if as_json:
        print_json(entries)
        return
    print_names(entries)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: a user's mistake is one sentence and exit code 2; 130 and 143 where somebody stopped it."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    _end_on_sigterm()
    try:
        for source in _taken(given, "--import"):
            plugins.load(source)
        app([argument for argument in given if argument != "--debug"], standalone_mode=True)
    except Exception as error:
        sentence = _sentence(error)
        if debug or sentence is None:
            raise
        if isinstance(error, InterruptedRunError):
            say(sentence)
            sys.exit(128 + error.signal)
        say(sentence, "error:")
        sys.exit(2)


def _sentence(error: Exception) -> str | None:
    """An error that a person can mend as one sentence; None if it is a fault of the program."""
    if isinstance(error, PointliftError):
        return str(error)
    if ran_out(error):
        return str(exhausted(error, "the command ran", "try fewer or smaller data, or a machine with more"))
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror[0].lower()}{error.strerror[1:]}"
    return None


def _end_on_sigterm() -> None:
    """On SIGTERM leave as on any error, so that what is half-written goes; training saves first."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def _taken(arguments: list[str], option: str) -> list[str]:
    """The values of an option that may stand anywhere, before or behind the command; it is taken out."""
    values = []
    while (place := next((n for n, one in enumerate(arguments) if one.split("=")[0] == option), None)) is not None:
        _, separator, value = arguments.pop(place).partition("=")
        if not separator and (place == len(arguments) or arguments[place].startswith("-")):
            raise PluginError(f"{option} needs a file or module, such as {option} my_log.py")
        values.append(value if separator else arguments.pop(place))
    return values


def _is_another_process() -> bool:
    """Whether this is one of several processes, and not the first, which speaks for all."""
    from torch import distributed

    return distributed.is_available() and distributed.is_initialized() and distributed.get_rank() > 0


if __name__ == "__main__":
    main()

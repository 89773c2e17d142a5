"""Starts the gateway as the systemd unit, the compose file and the chart would: with their arguments,
their variables and their secrets, only in other places. Each must bring its key, answer, and be well.

    deploy/starts.py <binary> [<rendered objects of the chart>]
"""

import base64
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

HERE = Path(__file__).parent
BINARY = str(Path(sys.argv[1]).resolve())


def say(arguments, environment):
    done = subprocess.run([BINARY, *arguments], env=environment, capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        sys.exit(f"{' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(name, steps, serve, environment, moves):
    """Runs `steps`, then `serve`, with every place in `moves` moved."""

    def moved(text):
        for place, to in moves.items():
            text = text.replace(place, to)
        return text

    environment = {key: moved(str(value)) for key, value in environment.items()}
    # wherever it would listen: here, several may run at the same time
    address = environment.get("CALLER_CONTEXT__SERVER__LISTEN", "")
    host = address.rsplit(":", 1)[0] or ("0.0.0.0" if name != "unit" else "127.0.0.1")
    environment["CALLER_CONTEXT__SERVER__LISTEN"] = f"{host}:{free_port()}"
    for step in steps:
        say([moved(word) for word in step], environment)
    gateway = subprocess.Popen(
        [BINARY, *map(moved, serve)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        log = []
        for line in gateway.stderr:
            log.append(line)
            if '"answering"' in line:
                break
        else:
            sys.exit(f"{name}: it does not start\n{''.join(log)}")
        configured = [word for word in map(moved, serve) if word != "serve"]
        say(["health", *configured], environment)
        gateway.send_signal(signal.SIGTERM)
        gateway.communicate(timeout=30)
        if gateway.returncode != 0:
            sys.exit(f"{name}: exit code {gateway.returncode} after TERM")
    finally:
        gateway.kill()
    print(f"{name}: started, was well, stopped")


STORE_KEY = base64.b64encode(secrets.token_bytes(32)).decode()
STUDIO_KEY = say(["keys", "generate"], {}).strip()


def secret_files(folder):
    """What operators put there. Without a PostgreSQL of ./test the store is a file."""
    files = {
        "store-key": STORE_KEY,
        "studio-key": STUDIO_KEY,
        "database-url": os.environ.get("TEST_POSTGRES_URL") or f"sqlite:{folder}/store.db",
    }
    for name, text in files.items():
        (folder / name).write_text(text + "\n")
        (folder / name).chmod(0o440)


def unit(folder):
    text = (HERE / "systemd/caller-context.service").read_text()
    lines = dict.fromkeys(["ExecStartPre", "ExecStart"])
    environment = {}
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key in lines:
            lines[key] = value.split()[1:]
        if key == "Environment":
            environment.update([value.split("=", 1)])
    # the operator's own file may be empty
    (folder / "config.toml").write_text("")
    (folder / "caller-context").mkdir()
    moves = {"%d": str(folder), "%S": str(folder), "/etc/caller-context/config.toml": str(folder / "config.toml")}
    start("unit", [lines["ExecStartPre"]], lines["ExecStart"], environment, moves)


def image(folder):
    """What every container of ours begins with."""
    containerfile = (HERE / "Containerfile").read_text()
    variables = dict(re.findall(r"^ENV (\w+)=(\S+)$", containerfile, re.MULTILINE))
    (folder / "config.toml").write_text((HERE / "container/config.toml").read_text())
    moves = {"/etc/caller-context/config.toml": str(folder / "config.toml"), "/run/secrets": str(folder)}
    return variables, moves


def compose(folder):
    services = yaml.safe_load((HERE / "compose/compose.yaml").read_text())["services"]
    variables, moves = image(folder)
    gateway = services["gateway"]
    # ${NAME:-} of a shell in which nothing is set
    variables |= {key: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value) for key, value in gateway["environment"].items()}
    start("compose", [services["keys"]["command"]], gateway["command"], variables, moves)


def chart(folder, objects):
    objects = {item["kind"]: item for item in yaml.safe_load_all(Path(objects).read_text()) if item}
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    gateway = pod["containers"][0]
    variables, moves = image(folder)
    variables |= {item["name"]: item["value"] for item in gateway["env"]}
    (folder / "config.toml").write_text(objects["ConfigMap"]["data"]["config.toml"])
    moves = {"/run/secrets/caller-context": str(folder)} | moves
    start("chart", [step["args"] for step in pod["initContainers"]], gateway["args"], variables, moves)


def refuses_to_stand_in_the_open(folder):
    variables, moves = image(folder)
    environment = {key: moves.get(value, value) for key, value in variables.items()}
    checked = subprocess.run([BINARY, "serve"], env=environment, capture_output=True, text=True, timeout=60)
    if checked.returncode != 78 or "open-listener" not in checked.stderr:
        sys.exit(f"the image starts without a proxy in front of it: {checked.returncode}\n{checked.stderr}")


os.umask(0o022)
for begin in [unit, compose, refuses_to_stand_in_the_open]:
    with tempfile.TemporaryDirectory() as folder:
        secret_files(Path(folder))
        begin(Path(folder))
if len(sys.argv) > 2 and os.path.exists(sys.argv[2]):
    with tempfile.TemporaryDirectory() as folder:
        secret_files(Path(folder))
        chart(Path(folder), sys.argv[2])

"""What no schema says about the manifests: manifests.py KIND BINARY FILE...

Holds kubernetes, podmonitor, ecs and compose files against what redrive needs of them, and gives the configuration in them to
`redrive check`, under the environment that the container has there. Prints one line, or every fault.
"""

import os
import subprocess
import sys
import tempfile

import yaml

GRACE = 25  # seconds: the default of shutdown.grace, which none of the files changes
IMAGE = {"REDRIVE_LISTEN": "0.0.0.0:7480"}  # what the image sets

faults = []


def hold(condition, fault):
    if not condition:
        faults.append(fault)


def one(things, name):
    found = [thing for thing in things if thing.get("name", thing.get("Name")) == name]
    hold(len(found) == 1, f"{len(found)} containers are called {name}")
    return found[0]


def check(binary, environment, where):
    """`redrive check`, in nothing but this environment; a warning is a fault, too."""
    ran = subprocess.run([binary, "check"], env=IMAGE | environment, capture_output=True, text=True)
    told = (ran.stdout + ran.stderr).strip()
    hold(ran.returncode == 0 and "warning" not in told.lower(), f"{where}: redrive check ends with {ran.returncode}: {told}")


def kubernetes(binary, file):
    things = [thing for thing in yaml.safe_load_all(open(file)) if thing]
    kinds = {thing["kind"]: thing for thing in things}
    pod = kinds["Deployment"]["spec"]["template"]["spec"]
    sidecar, client = one(pod["initContainers"], "redrive"), one(pod["containers"], "client")
    hold(sidecar.get("restartPolicy") == "Always", "redrive is an init container that has to end")
    hold("lifecycle" not in sidecar, "redrive has a hook")
    hold(pod["terminationGracePeriodSeconds"] > GRACE, "the pod is killed before a drain is over")
    admin = [port["containerPort"] for port in sidecar["ports"] if port["name"] == "admin"]
    environment = {variable["name"]: variable["value"] for variable in sidecar["env"]}
    hold(environment["REDRIVE_ADMIN"].rsplit(":", 1)[1] == str(admin[0]), "the port `admin` is not that of REDRIVE_ADMIN")
    for probe, path in (("startupProbe", "/readyz"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez")):
        got = sidecar[probe]["httpGet"]
        hold((got["path"], got["port"]) == (path, "admin"), f"{probe} asks {got}")
    # The standard `restricted` of Pod Security, as far as these files go.
    hold(pod["securityContext"]["runAsNonRoot"] is True and pod["securityContext"]["runAsUser"] == 65532, "the pod may run as root")
    hold(pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", "the pod has no seccomp profile")
    for container in (sidecar, client):
        context = container["securityContext"]
        hold(context["allowPrivilegeEscalation"] is False, f"{container['name']} may escalate")
        hold(context["readOnlyRootFilesystem"] is True, f"{container['name']} may write")
        hold(context["capabilities"] == {"drop": ["ALL"]}, f"{container['name']} keeps capabilities")
        hold("memory" in container["resources"]["limits"], f"{container['name']} may use all memory")
    mount = sidecar["volumeMounts"][0]
    hold("subPath" not in mount, "a file that is mounted by subPath never changes")
    # The names of the volume and of the ConfigMap as they came out of kustomize.
    volume = one(pod["volumes"], mount["name"])
    hold(volume["configMap"]["name"] == kinds["ConfigMap"]["metadata"]["name"], "the volume is of another ConfigMap")
    with tempfile.TemporaryDirectory() as directory:
        for name, text in kinds["ConfigMap"]["data"].items():
            with open(os.path.join(directory, name), "w") as out:
                out.write(text)
        inside = environment["REDRIVE_CONFIG"]
        hold(os.path.dirname(inside) == mount["mountPath"], "REDRIVE_CONFIG is outside of what is mounted")
        check(binary, environment | {"REDRIVE_CONFIG": os.path.join(directory, os.path.basename(inside))}, file)


def podmonitor(_, file):
    from cloudcoil.models.prometheus_operator import v1

    things = [thing for thing in yaml.safe_load_all(open(file)) if thing]
    given = next(thing for thing in things if thing["kind"] == "PodMonitor")
    known = v1.PodMonitor.model_validate(given).model_dump(mode="json", by_alias=True, exclude_unset=True)
    # The model drops what it does not know.
    hold(known == given, f"the Prometheus Operator understands {known}, and not {given}")
    labels = next(thing for thing in things if thing["kind"] == "Deployment")["spec"]["template"]["metadata"]["labels"]
    wanted = given["spec"]["selector"]["matchLabels"]
    hold(wanted.items() <= labels.items(), f"no pod has the labels {wanted}")


class Template(yaml.SafeLoader):
    """CloudFormation's YAML: `!Ref X` and its like are read as what they are applied to."""


def applied(loader, _, node):
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    return loader.construct_sequence(node) if isinstance(node, yaml.SequenceNode) else loader.construct_mapping(node)


Template.add_multi_constructor("!", applied)


def ecs(binary, file):
    task = yaml.load(open(file), Template)["Resources"]["Task"]["Properties"]
    sidecar, client = (one(task["ContainerDefinitions"], name) for name in ("redrive", "client"))
    hold(client["DependsOn"] == [{"ContainerName": "redrive", "Condition": "HEALTHY"}], "the client does not wait for redrive")
    hold(sidecar["HealthCheck"]["Command"] == ["CMD", "/redrive", "health"], "redrive's health is not asked for")
    hold(GRACE < sidecar["StopTimeout"] <= 120, "redrive is killed before a drain is over, or ECS refuses the time")
    hold(sidecar["ReadonlyRootFilesystem"] is True and sidecar["User"] == "65532:65532", "redrive may write, or is somebody")
    hold(sidecar["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}, "redrive keeps capabilities")
    environment = {variable["Name"]: variable["Value"] for variable in sidecar["Environment"]}
    api = {variable["Name"]: variable["Value"] for variable in client["Environment"]}["API"]
    shared = task["NetworkMode"] == "awsvpc"
    hold(environment["REDRIVE_LISTEN"] == ("127.0.0.1:7480" if shared else "0.0.0.0:7480"), "redrive listens elsewhere")
    hold(api == ("http://127.0.0.1:7480" if shared else "http://redrive:7480"), "the client goes elsewhere")
    hold(shared or client["Links"] == ["redrive"], "the client has no way to redrive")
    toml = environment["REDRIVE_CONFIG_TOML"].replace("${Upstream}", "https://abc123.execute-api.eu-west-1.amazonaws.com/prod")
    check(binary, environment | {"REDRIVE_CONFIG_TOML": toml}, file)


def compose(binary, file):
    services = yaml.safe_load(open(file))["services"]
    sidecar = services["redrive"]
    hold(int(sidecar["stop_grace_period"].rstrip("s")) > GRACE, "redrive is killed before a drain is over")
    for name, service in services.items():
        for port in service.get("ports", []):
            hold(port.startswith("127.0.0.1:"), f"{name} publishes {port} to everybody")
        for volume in service.get("volumes", []):
            source = os.path.join(os.path.dirname(file), volume.split(":")[0])
            hold(os.path.isfile(source), f"{name} mounts {source}, which is no file")
    environment = dict(sidecar["environment"])
    environment["REDRIVE_UPSTREAM"] = environment["REDRIVE_UPSTREAM"].removeprefix("${UPSTREAM:-").removesuffix("}")
    check(binary, environment, file)


kind, binary, *files = sys.argv[1:]
for file in files:
    {"kubernetes": kubernetes, "podmonitor": podmonitor, "ecs": ecs, "compose": compose}[kind](binary, file)
print("\n".join(faults) or f"{len(files)} of {kind} hold")
sys.exit(bool(faults))

#!/usr/bin/env bash
# Exercises all of deploy/ that can run on one machine without an account: deploy/test.sh
#
# One line a check: ok, FAILED, or skipped with the reason. A check that is skipped without one has failed, and so has one that
# never came to its end. BINARY names a static build of redrive (deploy/container/compile) that goes into the image as it is; the
# compiler's stage is then skipped.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

readonly image=localhost/redrive-ci
readonly image_bytes_max=15000000
readonly resident_max=6800000 # 6.2 million were measured, and 7.7 without an order of the functions
readonly venv=$PWD/target/ci/deploy
readonly exposure_max=1.5 # of systemd-analyze: 0 is nothing to be had, 10 is everything
readonly limits=(--network host --ulimit nofile=1024:1024 --ulimit nproc=100:100)
readonly locked=(--read-only --cap-drop ALL --user 65532)
readonly name="redrive-ci-$$"

work=$(mktemp -d)
chmod 755 "$work" # the container's user looks into it
children=()
containers=()
planned=()
declare -A ended=([ok]=0 [skipped]=0 [FAILED]=0)

# check NAME COMMAND...: what the command prints stands beside its result, the last line of it if it is ok. Exit code 77 means skipped.
check() {
  local what=$1 code=0 end detail
  shift
  planned+=("$what")
  "$@" >"$work/said" 2>&1 || code=$?
  detail=$(tail -n 1 "$work/said")
  case $code in
    0) end=ok ;;
    77) end=skipped ;;
    *) end=FAILED ;;
  esac
  if [ "$end" = skipped ] && [ -z "$detail" ]; then
    end=FAILED detail="skipped without a reason"
  fi
  ended[$end]=$((ended[$end] + 1))
  printf '%-8s %s: %s\n' "$end" "$what" "${detail:-with exit code $code and no word}"
  if [ "$end" = FAILED ]; then sed 's/^/         | /' "$work/said" | tail -n 20; fi
}

finish() {
  local code=$? total
  # Newest first; each was started here.
  for container in "${containers[@]}"; do "${podman[@]}" rm --force --time 1 "$container" >/dev/null 2>&1 || true; done
  for child in "${children[@]}"; do kill "$child" 2>/dev/null || true; done
  wait || true
  rm -rf "$work"
  total=$((ended[ok] + ended[skipped] + ended[FAILED]))
  printf '%d checks: %d ok, %d skipped, %d failed\n' "$total" "${ended[ok]}" "${ended[skipped]}" "${ended[FAILED]}"
  if [ "$code" != 0 ]; then echo "and not all of them were come to"; fi
  [ "$code" = 0 ] && [ "${ended[FAILED]}" = 0 ] && [ "$total" = ${#planned[@]} ] && [ "$total" -gt 0 ] || exit 1
}
trap finish EXIT

skip() {
  echo "$1"
  return 77
}
needs() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || skip "$tool is not here and could not be installed" || return
  done
}

# --- what is needed -------------------------------------------------------------------------------------------------------

debian_tools() {
  local wanted=() tool
  for tool in buildah podman runc; do command -v "$tool" >/dev/null || wanted+=("$tool"); done
  command -v systemd-analyze >/dev/null || wanted+=(systemd)
  python3 -c 'import ensurepip, venv' 2>/dev/null || wanted+=(python3-venv)
  [ ${#wanted[@]} -gt 0 ] || { echo "all here"; return; }
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || skip "only root on a Debian can install ${wanted[*]}" || return
  apt-get update -qq || true
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${wanted[@]}"
  echo "installed ${wanted[*]}"
}
python_tools() {
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv" || skip "there is no venv" || return
  "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement deploy/test/requirements.txt ||
    skip "not all of deploy/test/requirements.txt can be installed" || return
  echo "all of deploy/test/requirements.txt"
}
check 'tools of Debian' debian_tools
check 'tools of PyPI' python_tools
PATH=$venv/bin:$PATH
podman=(podman)
if command -v runc >/dev/null; then podman+=(--runtime runc); fi

# --- image ----------------------------------------------------------------------------------------------------------------

# Whatever fails below must not be tried on the image of an earlier run.
forget() {
  needs podman buildah || return
  "${podman[@]}" untag "$image" 2>/dev/null || true
  echo "that of an earlier run"
}
all_stages() {
  [ -z "${BINARY:-}" ] || skip "BINARY names a build" || return
  .ci/image "$image"
}
# The program that everything below is tried with. What the image of all stages holds is not compiled again.
program() {
  local container
  if [ -n "${BINARY:-}" ]; then
    realpath -m "$BINARY"
  elif container=$("${podman[@]}" create "$image" 2>/dev/null); then
    "${podman[@]}" cp "$container:/redrive" "$work/redrive"
    "${podman[@]}" rm "$container" >/dev/null
    echo "$work/redrive"
  else
    realpath "$(deploy/container/compile)"
  fi
}
last_stage() {
  needs buildah || return
  # Also where the whole was built: this is how an image comes about where no registry answers.
  ENGINE=buildah deploy/container/build --binary "$binary" "$image-binary" --quiet --isolation chroot >"$work/id" || return
  [ -z "${BINARY:-}" ] || buildah tag "$image-binary" "$image"
  echo "with redrive built here"
}
of_image() { buildah inspect --type image --format "{{$1}}" "$image"; }
image_size() {
  needs podman || return
  local bytes
  bytes=$("${podman[@]}" image inspect --format '{{.Size}}' "$image")
  echo "$bytes bytes, at most $image_bytes_max are due"
  [ "$bytes" -lt "$image_bytes_max" ]
}
image_says() {
  needs buildah || return
  local config
  config=$(of_image .Docker.Config)
  [ "$(of_image .Docker.Config.User)" = 65532:65532 ] || { echo "it runs as $(of_image .Docker.Config.User)"; return 1; }
  [ "$(of_image .Docker.Config.Healthcheck.Test)" = '[CMD /redrive health]' ] || { echo "no health check: $config"; return 1; }
  grep -q REDRIVE_LISTEN=0.0.0.0:7480 <<<"$config" || { echo "no REDRIVE_LISTEN: $config"; return 1; }
  local label
  for label in title description licenses version revision; do
    grep -q "org.opencontainers.image.$label:." <<<"$config" || { echo "no label $label: $config"; return 1; }
  done
  echo "nobody, health check, address and labels"
}
image_holds() {
  needs podman || return
  # The files of an image are those of a container that never ran.
  "${podman[@]}" create --name "$name-files" "$image" >/dev/null
  containers+=("$name-files")
  "${podman[@]}" export "$name-files" | tar -t >"$work/files"
  # What a runtime mounts over is there as an empty place.
  local more
  more=$(grep -v '/$' "$work/files" | grep -vE '^(redrive|etc/ssl/certs/ca-certificates.crt)$' |
    grep -vE '^(etc/(hosts|hostname|resolv.conf|mtab)|run/.containerenv|dev/.*)$' || true)
  [ -z "$more" ] || { echo "and also: $more"; return 1; }
  grep -qx redrive "$work/files" && grep -qx etc/ssl/certs/ca-certificates.crt "$work/files" || { cat "$work/files"; return 1; }
  echo "the program and the certificates, no library, no shell"
}
image_bill() {
  needs podman python3 objcopy || return
  "${podman[@]}" export "$name-files" | tar -x -C "$work" redrive
  # What objcopy makes of a section that is not there differs by version; the file tells.
  objcopy --dump-section .dep-v0="$work/bill" "$work/redrive" /dev/null 2>/dev/null || true
  [ -s "$work/bill" ] || {
    [ -z "${BINARY:-}" ] || skip "BINARY was built without cargo auditable" || return
    echo "the program does not say what it was built from"
    return 1
  }
  python3 - "$work/bill" <<'END'
import json, sys, zlib
packages = json.loads(zlib.decompress(open(sys.argv[1], "rb").read()))["packages"]
names = {package["name"] for package in packages}
assert {"redrive", "hyper", "rustls", "tokio"} <= names, names
print(len(packages), "packages, readable from the program")
END
}

# run NAME ARGUMENTS...: starts a container of the image as locked as it can be.
run() {
  containers=("$1" "${containers[@]}")
  "${podman[@]}" run --detach --name "$1" "${locked[@]}" "${limits[@]}" "${@:2}" >/dev/null
}
# health ADMIN: asks with the image's own command, once.
health() { "${podman[@]}" run --rm "${locked[@]}" "${limits[@]}" --env "REDRIVE_ADMIN=$1" "$image" health; }
healthy() {
  local admin=$1 container=$2
  for _ in {1..50}; do
    if health "$admin" >/dev/null 2>&1; then return; fi
    sleep 0.2
  done
  echo "$container did not become healthy; it said:"
  "${podman[@]}" logs "$container" 2>&1 | tail -n 10
  return 1
}
metric() { curl -sS "http://$1/metrics" | sed -n "s/^$2 //p"; }

port=$((20000 + RANDOM % 12000))
readonly port
readonly client=127.0.0.1:$port admin=127.0.0.1:$((port + 1)) gateway=127.0.0.1:$((port + 2))
here=(--env "REDRIVE_LISTEN=$client" --env "REDRIVE_ADMIN=$admin")

no_health() {
  needs podman || return
  if health "$admin"; then return 1; fi
  echo "health says so where no sidecar runs"
}
starts() {
  needs podman || return
  run "$name-gateway" "$image" gateway --listen "$gateway" --rate 100 --burst 20 || return
  run "$name" "${here[@]}" "$image" run --upstream "http://$gateway" || return
  healthy "$admin" "$name" || return
  "${podman[@]}" healthcheck run "$name" || return
  echo "read-only, without capabilities, as 65532; healthy by its own health check"
}
# Idle, behind a health check or two. More than that, and deploy/order.ld may be of another program by now: .ci/order
weighs() {
  needs podman curl || return
  [ "$(uname -m)" = x86_64 ] || skip "elsewhere the program is linked in no order (deploy/build.rs)" || return
  local resident
  resident=$(metric "$admin" process_resident_memory_bytes)
  echo "$resident bytes resident, at most $resident_max are due"
  [ -n "$resident" ] && [ "$resident" -le "$resident_max" ]
}
helps() {
  needs podman python3 curl || return
  local direct through
  direct=$(python3 deploy/test/load.py "http://$gateway" 40 5)
  sleep 1 # the gateway's bucket is full again
  through=$(python3 deploy/test/load.py "http://$client" 40 10)
  echo "direct $direct, through redrive $through"
  echo "200 at once: $(good "$direct") good directly; 400 at once: $(good "$through") good through redrive;" \
    "$(($(metric "$admin" process_resident_memory_bytes) / 1048576)) MiB resident"
  [ "$(good "$direct")" -lt 150 ] && [ "$(good "$through")" -ge 396 ]
}
good() { sed -n 's/.*"good": \([0-9]*\),.*/\1/p' <<<"$1"; }
drains() {
  needs podman python3 || return
  local loaded began=$SECONDS code
  python3 deploy/test/load.py "http://$client" 40 15 >"$work/load" &
  children+=($!)
  loaded=$!
  sleep 1
  "${podman[@]}" stop --time 30 "$name" >/dev/null || return
  wait "$loaded"
  code=$("${podman[@]}" inspect --format '{{.State.ExitCode}}' "$name")
  "${podman[@]}" stop --time 5 "$name-gateway" >/dev/null
  cat "$work/load"
  "${podman[@]}" logs "$name-gateway" 2>&1 | tail -n 3
  echo "stopped amid 600 requests: $(good "$(cat "$work/load")") good, $(sed -n 's/.*"lost": \([0-9]*\),.*/\1/p' "$work/load") lost," \
    "exit code $code, $((SECONDS - began)) s"
  [ "$code" = 0 ] && [ "$(good "$(cat "$work/load")")" = 600 ]
}
resolves() {
  needs podman python3 curl || return
  [ "$(id -u)" = 0 ] || skip "only root may listen on port 53" || return
  local there=127.53.53.53 status
  python3 deploy/test/name_server.py "$there" 53 api.redrive.test 127.0.0.1 >"$work/names" 2>&1 &
  children+=($!)
  run "$name-origin" "$image" gateway --listen "$gateway" || return
  run "$name-names" "${here[@]}" --dns "$there" "$image" run --upstream "http://api.redrive.test:${gateway##*:}" || return
  healthy "$admin" "$name-names" || return
  status=$(curl -sS -o "$work/answer" -w '%{http_code}' "http://$client/orders/1")
  "${podman[@]}" rm --force --time 1 "$name-names" "$name-origin" >/dev/null
  cat "$work/names" "$work/answer"
  echo
  echo "a name of a DNS server was found, answer $status"
  [ "$status" = 200 ]
}
trusts() {
  needs podman || return
  run "$name-https" "${here[@]}" "$image" run --upstream https://api.example.com || return
  healthy "$admin" "$name-https" || return
  "${podman[@]}" rm --force --time 1 "$name-https" >/dev/null
  : >"$work/nothing"
  chmod 644 "$work/nothing"
  run "$name-roots" "${here[@]}" --volume "$work/nothing":/etc/ssl/certs/ca-certificates.crt:ro "$image" run --upstream https://api.example.com || return
  "${podman[@]}" wait "$name-roots" >"$work/code"
  "${podman[@]}" logs "$name-roots" 2>&1 | tail -n 2
  echo "the image's certificates are used: without them redrive ends with $(cat "$work/code")"
  [ "$(cat "$work/code")" = 69 ]
}
check 'image: forgotten' forget
check 'image: the Dockerfile' all_stages
binary=$(program)
check 'image: its last stage' last_stage
check 'image: size' image_size
check 'image: what it says' image_says
check 'image: what it holds' image_holds
check 'image: bill of materials' image_bill
check 'image: no false health' no_health
check 'image: starts' starts
check 'image: memory' weighs
check 'image: throttled traffic' helps
check 'image: podman stop under load' drains
check 'image: names' resolves
check 'image: certificates' trusts

# --- manifests ------------------------------------------------------------------------------------------------------------

readonly kustomizations=(base overlays/example)
# `labels` and `patches` as they stand there. Debian's own is 1.20.
needs_kubectl() {
  local minor
  minor=$(kubectl version --client -o json 2>/dev/null | sed -n 's/^ *"minor": "\([0-9]*\).*/\1/p' | head -1)
  [ "${minor:-0}" -ge 22 ] || skip "a kubectl of 1.22 or later is needed, and Debian has none to install"
}
builds() {
  needs_kubectl || return
  local directory
  for directory in "${kustomizations[@]}"; do
    kubectl kustomize "deploy/kubernetes/$directory" >"$work/kubernetes-${directory##*/}.yaml" || return
  done
  echo "${#kustomizations[@]} kustomizations"
}
# The oldest with native sidecars, and the newest that there are schemas of.
kubernetes_schemas() {
  needs kubernetes-validate || return
  needs_kubectl || return
  local newest
  newest=$(python - <<'END'
import kubernetes_validate
print(kubernetes_validate.latest_version())
END
  )
  for version in 1.29.0 "$newest"; do
    kubernetes-validate --strict -k "$version" "$work"/kubernetes-*.yaml || return
  done
  # What has no schema there is looked at below.
  echo "strict, for 1.29.0 and $newest"
}
of_kubernetes() {
  needs kubernetes-validate || return
  needs_kubectl || return
  python deploy/test/manifests.py "$1" "$binary" "$work"/kubernetes-*.yaml
}
# A ConfigMap as kubelet mounts it, and as it changes it: the file is behind a symlink, whose directory is replaced.
follows() {
  needs curl || return
  local volume=$work/volume
  mkdir -p "$volume/1" "$volume/2"
  printf 'upstream = "http://127.0.0.1:9"\n' >"$volume/1/redrive.toml"
  printf 'upstream = "http://%s"\n' "$gateway" >"$volume/2/redrive.toml"
  ln -s 1 "$volume/..data"
  ln -s ..data/redrive.toml "$volume/redrive.toml"
  "$binary" gateway --listen "$gateway" >/dev/null 2>&1 &
  children+=($!)
  "$binary" run --config "$volume/redrive.toml" --listen "$client" --admin "$admin" >"$work/log" 2>&1 &
  children+=($!)
  for _ in {1..50}; do if "$binary" health --admin "$admin" 2>/dev/null; then break; fi; sleep 0.1; done
  if [ -z "$(metric "$admin" redrive_config_last_reload_timestamp_seconds)" ]; then
    kill "${children[@]: -2}"
    skip "this redrive does not reload" || return
  fi
  ln -s 2 "$volume/..data_tmp"
  mv -T "$volume/..data_tmp" "$volume/..data"
  local status=
  for _ in {1..30}; do
    status=$(curl -sS -o /dev/null -w '%{http_code}' "http://$client/orders/1")
    if [ "$status" = 200 ]; then break; fi
    sleep 1
  done
  kill "${children[@]: -2}"
  cat "$work/log"
  echo "a replaced ..data is noticed, answer $status"
  [ "$status" = 200 ]
}
check 'kubernetes: kustomize' builds
check 'kubernetes: schemas' kubernetes_schemas
check 'kubernetes: the PodMonitor' of_kubernetes podmonitor
check 'kubernetes: sidecar, probes, rights, configuration' of_kubernetes kubernetes
check 'kubernetes: a changed ConfigMap' follows

lints() {
  needs cfn-lint || return
  cfn-lint "$@" || return
  echo "cfn-lint has nothing to say about $# templates"
}
ecs() {
  needs cfn-lint || return
  python deploy/test/manifests.py ecs "$binary" deploy/ecs/*.yaml
}
check 'ecs: templates' lints deploy/ecs/*.yaml
check 'ecs: order, rights, configuration' ecs

compose_schema() {
  needs check-jsonschema || return
  check-jsonschema --builtin-schema vendor.compose-spec deploy/compose/compose.yaml
}
compose_holds() {
  needs check-jsonschema || return
  python deploy/test/manifests.py compose "$binary" deploy/compose/compose.yaml
}
# Side by side, as compose mounts them.
compose_prometheus() {
  local bin
  bin=$(.ci/fetch-prometheus 2>/dev/null) || skip "there is no Prometheus" || return
  mkdir -p "$work/prometheus"
  cp deploy/compose/prometheus.yaml deploy/prometheus/rules.yaml deploy/prometheus/alerts.yaml "$work/prometheus"
  "$bin/promtool" check config "$work/prometheus/prometheus.yaml" || return
  echo "promtool agrees"
}
check 'compose: schema' compose_schema
check 'compose: ports, files, configuration' compose_holds
check 'compose: Prometheus' compose_prometheus

unit() {
  needs systemd-analyze || return
  # The unit as it is, but for where the program lies.
  sed "s|/usr/local/bin/redrive|$binary|" deploy/systemd/redrive.service >"$work/redrive.service"
  systemd-analyze --man=no verify "$work/redrive.service" || return
  [ ! -s "$work/said" ] || { echo "it is not without a word"; return 1; }
  echo "systemd-analyze verify has nothing to say"
}
exposure() {
  needs systemd-analyze || return
  local score
  score=$(systemd-analyze --offline=true security deploy/systemd/redrive.service | sed -n 's/.*Overall exposure level[^:]*: \([0-9.]*\).*/\1/p')
  echo "exposure ${score:-unknown}, at most $exposure_max is due"
  awk -v score="${score:-10}" -v max="$exposure_max" 'BEGIN { exit !(score <= max) }'
}
# The filter as the unit has it, in the form that a container runtime takes: what it refuses is missed here, too.
filtered() {
  needs systemd-analyze podman python3 || return
  python3 deploy/test/syscalls.py deploy/systemd/redrive.service >"$work/seccomp.json" || return
  run "$name-filter" --security-opt "seccomp=$work/seccomp.json" "${here[@]}" "$image" run --upstream "http://$gateway" || return
  run "$name-filter-gateway" "$image" gateway --listen "$gateway" --rate 100 --burst 20 || return
  healthy "$admin" "$name-filter" || return
  local through
  through=$(python3 deploy/test/load.py "http://$client" 20 5)
  "${podman[@]}" stop --time 30 "$name-filter" >/dev/null
  "${podman[@]}" rm --force --time 1 "$name-filter-gateway" >/dev/null
  echo "$through"
  echo "$(good "$through") of 100 good under the unit's SystemCallFilter"
  [ "$(good "$through")" = 100 ]
}
check 'systemd: unit' unit
check 'systemd: system calls' filtered
check 'systemd: exposure' exposure

signs() {
  needs python3 cargo || return
  "$venv/bin/python" -c 'import botocore' || skip "botocore is not here and could not be installed" || return
  # As tests build it, which .ci/run has done by now; alone it would be built anew.
  cargo test --quiet --all-features --no-run --test e2e || return
  "$venv/bin/python" deploy/test/sigv4.py target/debug/redrive
}
check 'signatures: as botocore makes them' signs

same_types() {
  needs check-jsonschema || return
  AWS_DEFAULT_REGION=eu-west-1 python - <<'END'
import hcl2, yaml
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

wanted = {"THROTTLED", "QUOTA_EXCEEDED", "INTEGRATION_FAILURE"}
responses = yaml.safe_load(open("deploy/gateway/openapi.yaml"))["x-amazon-apigateway-gateway-responses"]
assert set(responses) == wanted, responses
# A header's value is an expression: a literal stands in quotes of its own.
for name, response in responses.items():
    header = response["responseParameters"]["gatewayresponse.header.x-gw-error"]
    assert header == f"'{name}'", header
# What SAM makes of its form is the definition of the other file. cfn-lint does not look so far.
class Policies:
    def load(self):
        return {}


template = transform(yaml_parse(open("deploy/gateway/sam.yaml")), {}, Policies())
made = template["Resources"]["Api"]["Properties"]["Body"]["x-amazon-apigateway-gateway-responses"]
said = {name: response | {"statusCode": str(response["statusCode"])} for name, response in responses.items()}
assert made == said, made
text = open("deploy/gateway/gateway-responses.tf").read()
hcl2.loads(text)
assert all(name in text for name in wanted), text
print("OpenAPI, SAM as it is transformed, and Terraform name", len(wanted), "types")
END
}
check 'gateway: CloudFormation and SAM' lints deploy/gateway/cloudformation.yaml deploy/gateway/sam.yaml
check 'gateway: OpenAPI, SAM and Terraform' same_types

cases() {
  needs cfn-lint || return
  lints deploy/verify/template.yaml || return
  python deploy/test/manifests.py verify "$binary" deploy/verify/template.yaml
}
same_responses() {
  needs cfn-lint || return
  AWS_DEFAULT_REGION=eu-west-1 python - <<'END'
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class Policies:
    def load(self):
        return {}


def resources(file):
    return transform(yaml_parse(open(file)), {}, Policies())["Resources"]


def responses(api):
    return api["Properties"]["Body"]["x-amazon-apigateway-gateway-responses"]


stack, sample = resources("deploy/verify/template.yaml"), resources("deploy/gateway/sam.yaml")
assert responses(stack["Marked"]) == responses(sample["Api"])
# Since October 2025 a public function URL wants two permissions, and SAM has to grant both.
granted = {(it["Properties"]["FunctionName"]["Ref"], it["Properties"]["Action"]) for it in stack.values()
           if it["Type"] == "AWS::Lambda::Permission" and it["Properties"]["Principal"] == "*"}
wanted = {(function, f"lambda:{action}") for function in ("Backend", "Throttled", "Single", "Brief")
          for action in ("InvokeFunctionUrl", "InvokeFunction")}
assert granted == wanted, granted
print("SAM makes", len(stack), "resources of it, the gateway responses as in deploy/gateway")
END
}
check 'verify: template and index' cases
check 'verify: as SAM transforms it' same_responses

pointed() {
  needs python3 || return
  python3 deploy/test/clients.py "$binary" "$1"
}
for way in 'base URL' http_proxy 'hosts: another name' 'hosts: another address' 'hosts: a file of its own' 'hosts: a circle'; do
  check "clients: $way" pointed "$way"
done

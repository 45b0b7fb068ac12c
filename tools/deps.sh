# deps.sh - installs the Debian packages named as arguments that are missing. Sourced by the other
# scripts of this folder.

build_packages='gcc libc6-dev git meson ninja-build pkg-config
  libavcodec-dev libavformat-dev libavutil-dev libcjson-dev libcurl4-openssl-dev libexpat1-dev
  libhdf5-dev libmeshoptimizer-dev libmujoco-dev libpng-dev
  libsqlite3-dev nettle-dev zlib1g-dev'

install_missing() {
  if ! command -v dpkg-query >/dev/null; then
    echo "this is not Debian: make sure by hand that you have what these packages hold: $*" >&2
    return
  fi
  missing=
  for p in "$@"; do
    case $(dpkg-query -W -f '${Status}' "$p" 2>/dev/null) in
      *' installed') ;;
      *) missing="$missing $p" ;;
    esac
  done
  [ -n "$missing" ] || return 0
  as_root=
  if [ "$(id -u)" != 0 ]; then
    as_root=sudo
    if ! command -v sudo >/dev/null; then
      echo "these packages are missing:$missing; install them as root: apt-get install$missing" >&2
      return 1
    fi
  fi
  echo "installing$missing: a minute or a few"
  # a package list that is older than the mirror names files that are gone, so it is renewed first
  $as_root apt-get update -q >/dev/null &&
    $as_root env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -q --no-install-recommends $missing >/dev/null </dev/null || {
    echo "apt-get could not install$missing; its messages are above" >&2
    return 1
  }
}

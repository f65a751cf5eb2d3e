#!/bin/sh
# Fetches a kernel for disposable machines into a folder: `sh scripts/guest_kernel.sh FOLDER`.
#
# The package comes from this system's own archive through apt, which checks its signature and digest; nothing of it is
# installed or run here. Kept are the kernel image and the modules the guest loads (about 10 MB), laid out as in the
# package: FOLDER/boot, FOLDER/lib/modules/VERSION. A folder that already holds a kernel is left as it is.
# GUEST_KERNEL_PACKAGE names another package than the system's usual kernel.
set -eu

stop() { # what happened, then what to do, a line each
  for line in "$@"; do printf '%s\n' "$line" >&2; done
  exit 1
}

[ $# -eq 1 ] || stop "usage: sh scripts/guest_kernel.sh FOLDER"
into=$1
for image in "$into"/boot/vmlinuz-*; do
  [ ! -e "$image" ] || exit 0
done
[ "$(uname -m)" = x86_64 ] || stop "Disposable machines need an x86-64 processor; this is $(uname -m)."
command -v apt-get >/dev/null 2>&1 && command -v dpkg-deb >/dev/null 2>&1 ||
  stop "This system has no apt-get." "Unpack a kernel package with the 9p module by hand, so that $into/boot and $into/lib/modules exist."

# The usual kernel's package only depends on the one that holds a version.
find_package() {
  for usual in ${GUEST_KERNEL_PACKAGE:-} linux-image-amd64 linux-image-generic; do
    found=$(apt-cache depends "$usual" 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
    [ -n "$found" ] && printf '%s\n' "$found" && return 0
  done
  return 1
}

package=$(find_package) || stop "apt knows no kernel package." "Run \`apt-get update\`, then this again."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
(cd "$work" && apt-get download "$package" >"$work/log" 2>&1) ||
  stop "The package $package was not fetched:" "$(tail -n 1 "$work/log")" "Check the connection, run \`apt-get update\`, then this again."
modules="${package#linux-image-}"
dpkg-deb -x "$work"/linux-image-*.deb "$work/package"
image=$work/package/boot/vmlinuz-$modules
[ -f "$image" ] || stop "The package $package holds no kernel image." "Name another with GUEST_KERNEL_PACKAGE."
if [ ! -d "$work/package/lib/modules" ]; then # Ubuntu keeps the modules in a package of their own
  (cd "$work" && apt-get download "linux-modules-$modules" >"$work/log" 2>&1) ||
    stop "The package linux-modules-$modules was not fetched:" "$(tail -n 1 "$work/log")"
  dpkg-deb -x "$work"/linux-modules-*.deb "$work/package"
fi

tree=$work/kept/lib/modules/$modules
mkdir -p "$work/kept/boot" "$tree/kernel"
cp "$image" "$work/kept/boot/"
[ ! -f "$work/package/lib/modules/$modules/modules.builtin" ] || cp "$work/package/lib/modules/$modules/modules.builtin" "$tree/"
for name in virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_console \
  netfs fscache 9pnet 9pnet_virtio 9p; do
  find "$work/package/lib/modules/$modules/kernel" -name "$name.ko*" -exec cp {} "$tree/kernel/" \;
done
mkdir -p "$into"
cp -R "$work/kept/." "$into/"
printf '  %-11s %s\n' kernel "$package, for disposable machines, in $into"

#!/usr/bin/env bash
# python-base.sh TAG: a local stand-in for `python:3.11-slim-bookworm` from Debian's packages alone, for machines that
# reach no image registry (1.5 min). It has what the real one has for our purpose: Python 3.11 with its headers and its
# shared library. Needs root, debootstrap, buildah, and Debian 12's package sources.
set -euo pipefail
tag=${1:?tag of the image to make}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sources=/etc/apt/sources.list.d/debian.sources
mirror=$(sed -n 's/^URIs: //p' "$sources" | head -n 1)
python=python3,python3-venv,libpython3.11,ca-certificates,netbase,tzdata
debootstrap --variant=minbase --include="$python" bookworm "$work/root" "$mirror" > "$work/log" || { tail "$work/log"; exit 1; }
rm -f "$work/root/etc/apt/sources.list"
cp "$sources" "$work/root/etc/apt/sources.list.d/"
(cd "$work" && chmod 0755 . && apt-get download -qq -o APT::Sandbox::User=root libpython3.11-dev && dpkg-deb -x libpython3.11-dev_*.deb headers)
cp -a "$work/headers/usr/include" "$work/root/usr/"
ln -s /usr/bin/python3.11 "$work/root/usr/local/bin/python"
ln -s /usr/bin/python3.11 "$work/root/usr/local/bin/python3"
rm -rf "$work"/root/var/cache/apt/* "$work"/root/var/lib/apt/lists/* "$work"/root/var/log/* "$work"/root/usr/share/{man,locale,doc}
rm -rf "$work"/root/etc/{resolv.conf,hostname} "$work"/root/dev/*
tar -C "$work/root" --numeric-owner -cf "$work/root.tar" .
container=$(buildah from scratch)
buildah add -q "$container" "$work/root.tar" / > /dev/null
buildah config --env LANG=C.UTF-8 --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --cmd python3 "$container"
buildah commit -q --format docker --rm "$container" "$tag" > /dev/null

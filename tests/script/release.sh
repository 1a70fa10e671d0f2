# shellcheck shell=bash disable=SC2154,SC2034,SC2164 # root and tools are those of run, and so is set -e
# scripts/release: what it refuses. Cases for tests/script/run.

# A repository with as much of this one as the checks look at, which is version 1.2.0 in every place.
released() {
  mkdir -p scripts deployment/helm/pullgate
  cp "$root/scripts/release" "$root/scripts/lib.sh" scripts/
  printf '[package]\nname = "pullgate"\nversion = "1.2.0"\n\n[dependencies]\nversion = "9"\n' >Cargo.toml
  printf '[[package]]\nname = "other"\nversion = "9.9.9"\n\n[[package]]\nname = "pullgate"\nversion = "1.2.0"\n' >Cargo.lock
  printf 'name: pullgate\nversion: 1.2.0\nappVersion: "1.2.0"\n' >deployment/helm/pullgate/Chart.yaml
  printf '# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2027-01-31\n' >CHANGELOG.md
  git init -q .
  committed
}

committed() { git add -A && git -c user.name=n -c user.email=e commit -q -m all; }
release() { scripts/release --check "${1-1.2.0}" "${2-registry.example/infra/pullgate}"; }

# wrong TEXT...: the tree is refused with these lines, and the one that sums them up.
wrong() {
  printf 'release: %s\n' "$@" 'this is not 1.2.0: see docs/releasing.md' >"$scratch/expected"
  if release 2>"$scratch/said"; then die "accepted"; fi
  diff "$scratch/expected" "$scratch/said"
}

case_a_release_that_says_its_version_everywhere_is_accepted() {
  released
  release
  [ ! -e dist ]
}

case_a_release_is_refused_where_a_file_is_of_another_version() {
  released
  sed -i.old 's/^version = "1.2.0"/version = "1.1.0"/' Cargo.toml
  sed -i.old 's/1.2.0/1.2.1/' Cargo.lock
  sed -i.old 's/1.2.0/1.2.0-rc.1/' deployment/helm/pullgate/Chart.yaml
  sed -i.old 's/^## \[1.2.0\] - .*/## [1.2.0]/' CHANGELOG.md
  find . -name '*.old' -exec rm {} +
  committed
  wrong "Cargo.toml: version is '1.1.0', and should be '1.2.0'" \
    "Cargo.lock: the version of pullgate is '1.2.1', and should be '1.2.0'" \
    "deployment/helm/pullgate/Chart.yaml: version is '1.2.0-rc.1', and should be '1.2.0'" \
    "deployment/helm/pullgate/Chart.yaml: appVersion is '1.2.0-rc.1', and should be '1.2.0'" \
    "CHANGELOG.md: lacks the section '## [1.2.0] - YEAR-MONTH-DAY'"
}

case_a_release_of_what_is_not_committed_is_refused() {
  released
  echo more >>CHANGELOG.md
  wrong "the work tree has changes that are not committed:  M CHANGELOG.md "
}

case_a_release_needs_a_version_and_an_image_without_a_tag() {
  released
  for version in v1.2.0 1.2 1.2.0.0 01.2.0 1.2.0- latest ''; do
    refused "VERSION '$version': give three numbers without a v, such as 1.2.0" release "$version"
  done
  for image in pullgate registry.example/infra/pullgate:1 registry.example/Infra/pullgate "registry.example/a b" https://registry.example/pullgate registry.example/; do
    refused "IMAGE '$image': give registry and path in lower case, without tag and digest" release 1.2.0 "$image"
  done
  rm stdout stderr # of what was refused
  release 1.2.0 registry.example:5000/infra/pullgate
  refused "'--publish' is not accepted: give --check, --binary or --help" scripts/release --publish 1.2.0
  refused "give VERSION and IMAGE, not 1 arguments" scripts/release 1.2.0
}

case_the_tools_of_a_release_say_what_they_take() {
  refused "'' is no tool: give deny or cyclonedx" "$root/scripts/cargo-tool"
  refused "'audit' is no tool: give deny or cyclonedx" "$root/scripts/cargo-tool" audit
  refused "'' is no file: give the FILE to write" "$root/scripts/sbom"
}

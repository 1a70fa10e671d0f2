# shellcheck shell=bash disable=SC2154,SC2034,SC2164 # root and tools are those of run, and so is set -e
# The folder that is written, and what a run needs of its surroundings. Cases for tests/script/run.

case_it_runs_from_any_folder_and_with_spaces_in_paths() {
  mkdir -p "a copy" "else where/deep"
  cp -R "$root/deployment" "a copy/"
  cd "else where/deep"
  CDPATH=/ env -i PATH="$PATH" IMAGE=a/b:1 REGISTRY=r.example OUT="out put/x" "../../a copy/deployment/generate-certs-and-config.sh"
  [ -s "out put/x/40-webhook-configuration.yaml" ]
  [ -s "out put/x/certs/ca.key" ]
}

case_a_second_run_changes_nothing() {
  generate IMAGE=a/b:1 REGISTRY=r.example
  cp -Rp generated first
  generate IMAGE=a/b:1 REGISTRY=r.example > log
  diff -r first generated
  has log 'CA: kept'
}

case_an_empty_folder_is_taken_and_a_later_run_leaves_other_files_alone() {
  mkdir out
  generate IMAGE=a/b:1 REGISTRY=r.example OUT=out
  echo mine > out/mine.txt
  generate IMAGE=a/b:1 REGISTRY=r.example OUT=out
  [ "$(cat out/mine.txt)" = mine ]
}

case_only_the_owner_reads_what_is_written() {
  umask 022
  generate IMAGE=a/b:1 REGISTRY=r.example
  generate IMAGE=a/b:1 REGISTRY=r.example -- --renew
  [ -z "$(find generated -type f ! -perm 600)" ]
  [ -z "$(find generated -type d ! -perm 700)" ]
}

case_git_never_sees_the_folder() {
  git init -q .
  echo x > seen
  generate IMAGE=a/b:1 REGISTRY=r.example OUT=any/where
  git add -A
  [ "$(git ls-files)" = seen ]
}

case_a_folder_that_cannot_be_written_is_named() {
  echo content > file
  refused 'OUT="file": not a folder' generate IMAGE=a/b:1 REGISTRY=r.example OUT=file
  refused 'OUT="file/x": cannot be written' generate IMAGE=a/b:1 REGISTRY=r.example OUT=file/x
  [ "$(cat file)" = content ]
}

case_a_folder_with_other_things_is_left_alone() {
  mkdir work
  echo content > work/file
  refused 'OUT="work": the folder holds something that this script did not write' generate IMAGE=a/b:1 REGISTRY=r.example OUT=work
  echo '*.o' > work/.gitignore
  refused 'OUT="work": the folder holds' generate IMAGE=a/b:1 REGISTRY=r.example OUT=work
  [ "$(cd work && echo * .git*)" = "file .gitignore" ]
  [ "$(cat work/.gitignore)" = '*.o' ]
}

case_it_needs_openssl_and_posix_tools_only() {
  tools_only openssl
  generate IMAGE=a/b:1 REGISTRY=r.example
  generate IMAGE=a/b:1 REGISTRY=r.example REGISTER=when-ready
  generate IMAGE=a/b:1 REGISTRY=r.example -- --renew
  [ -s generated/40-webhook-configuration.yaml ]
}

case_a_missing_openssl_is_named() {
  tools_only
  refused 'openssl is not installed' generate IMAGE=a/b:1 REGISTRY=r.example
  [ ! -e generated ]
}

case_a_failed_run_leaves_the_folder_of_the_last_one() {
  generate IMAGE=a/b:1 REGISTRY=r.example
  cp -R generated first
  tools_only
  real=$(command -v openssl)
  # Signing fails, which is the last step with certificates.
  printf '#!/bin/sh\ncase "$*" in *-CAkey*) echo "no entropy" >&2; exit 1 ;; esac\nexec %s "$@"\n' "$real" > tools/openssl
  chmod +x tools/openssl
  if generate IMAGE=a/b:1 REGISTRY=r.example -- --renew-ca > stdout 2> stderr; then die "should fail"; fi
  has stderr 'no entropy'
  has stderr 'generate-certs-and-config.sh: openssl x509 failed'
  diff -r first generated
  tools=''
  generate IMAGE=a/b:1 REGISTRY=r.example
  diff -r first generated
}

case_the_folder_of_a_run_that_failed_early_is_taken_again() {
  tools_only
  printf '#!/bin/sh\nexit 1\n' > tools/openssl
  chmod +x tools/openssl
  if generate IMAGE=a/b:1 REGISTRY=r.example > stdout 2> stderr; then die "should fail"; fi
  tools=''
  generate IMAGE=a/b:1 REGISTRY=r.example
  [ -s generated/40-webhook-configuration.yaml ]
}

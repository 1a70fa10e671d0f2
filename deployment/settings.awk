# Reads settings as the webhook does (src/config, src/image), which would not start with any that is refused here.
# A file of its own because it is a grammar, not a step of the script that runs it.
#
# Input: a line for each setting, NAME KIND [ARGUMENT ...]. Its value is the environment variable NAME.
# Output: NAME=VALUE for each, with nothing behind the = if it is unset. A value is spelt as the webhook understands
#   it: no character is left that a quoted YAML string, or Kubernetes in the value of a variable, takes for more.
# If a value is refused: status 1 and, instead, one line with the value and what is accepted.
#
# For any POSIX awk, with LC_ALL=C. Patterns have no intervals such as {1,63}, which older ones do not know.

BEGIN {
  label = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
  object = label "([.]" label ")*"
  domain_label = "[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?"
  address = domain_label "([.]" domain_label ")*|\\[[0-9A-Fa-f:]+\\]"
  component = "[a-z0-9]+(([.]|_|__|-+)[a-z0-9]+)*"
  path_pattern = component "(/" component ")*"
  truth["true"] = truth["1"] = truth["yes"] = "true"
  truth["false"] = truth["0"] = truth["no"] = "false"
}

# --- a line for each setting -------------------------------------------------------------------------

{
  order[NR] = $1
  given = ENVIRON[$1]
  if (trim(given) == "") next
}
$2 == "registry" { check_registry($1, given, given); value[$1] = given }
$2 == "registries" { value[$1] = registries($1, given) }
$2 == "pairs" { value[$1] = pairs($1, given) }
$2 == "word" { value[$1] = word($1, given) }
$2 == "any_case" { value[$1] = word($1, tolower(given)) }
$2 == "boolean" { value[$1] = boolean($1, given) }
$2 == "number" { value[$1] = number($1, given, $3, $4) }
$2 == "namespaces" { value[$1] = names_or_none($1, given, label, 63, "names of namespaces: up to 63 of a-z, 0-9 and - between them") }
$2 == "namespace" { value[$1] = name_of($1, given, label, 63, "the name of a namespace: up to 63 of a-z, 0-9 and - between them") }
$2 == "accounts" { value[$1] = names_or_none($1, given, "[-a-z0-9.*?]+", 253, "names of ServiceAccounts: a-z, 0-9, - and ., with * and ? for any others") }
$2 == "secrets" { value[$1] = names($1, given, object, 253, "names of Secrets: up to 253 of a-z, 0-9, - and . between them") }
$2 == "secret" { value[$1] = name_of($1, given, object, 253, "the name of a Secret: up to 253 of a-z, 0-9, - and . between them") }
$2 == "duration" { value[$1] = duration($1, trim(given)) }
$2 == "signer" { value[$1] = signer($1, trim(given)) }
$2 == "class" { value[$1] = name_of($1, given, object, 253, "the name of a StorageClass: up to 253 of a-z, 0-9, - and . between them") }

END {
  if (failed) exit 1
  check_rules()
  for (i = 1; i <= NR; i++) print order[i] "=" value[order[i]]
}

# --- kinds of values ---------------------------------------------------------------------------------

function refuse(name, shown, problem) {
  gsub(/[^ -~]/, "?", shown)
  print name "=\"" shown "\": " problem
  failed = 1
  exit 1
}

function matches(text, pattern) { return text ~ ("^(" pattern ")$") }

function duration(name, text) {
  if (!matches(text, "([0-9]+([.][0-9]+)?(h|m|s))+")) refuse(name, text, "expected a time such as 30m, 24h or 2160h")
  return text
}

function signer(name, text) {
  if (!matches(text, label "([.]" label ")+/[A-Za-z0-9._/-]+")) refuse(name, text, "expected the name of a signer, such as example.com/webhooks")
  return text
}

function trim(text) {
  sub(/^[ \t\n\v\f\r]+/, "", text)
  sub(/[ \t\n\v\f\r]+$/, "", text)
  return text
}

# Splits a comma separated list into trimmed items without empty ones; gives their number. "[,]" is a pattern, because at a single
# character some awks split at line ends too.
function items(text, item,   parts, part, i, count) {
  count = 0
  parts = split(text, part, "[,]")
  for (i = 1; i <= parts; i++) if (trim(part[i]) != "") item[++count] = trim(part[i])
  return count
}

# One of the words that follow the kind.
function word(name, text,   i, words) {
  for (i = 3; i <= NF; i++) {
    if (text == $i) return text
    words = words (i == 3 ? "" : i == NF ? " or " : ", ") $i
  }
  refuse(name, given, "expected " words)
}

function boolean(name, text) {
  text = tolower(trim(text))
  if (!(text in truth)) refuse(name, given, "expected true or false")
  return truth[text]
}

# What follows the bounds in the line is the reason for them. They stay text, because some awks write large numbers
# with an exponent.
function number(name, text, low, high,   i, reason) {
  text = trim(text)
  sub(/^[+]/, "", text)
  if (text !~ /^[0-9]+$/) text = "none"
  sub(/^0+/, "", text)
  if (text == "") text = "0"
  if (text == "none" || length(text) > length(high) || text + 0 < low + 0 || text + 0 > high + 0) {
    for (i = 5; i <= NF; i++) reason = reason " " $i
    refuse(name, given, "expected a whole number from " low " to " high reason)
  }
  return text
}

# A list of names, each once.
function names(name, text, pattern, longest, words,   item, count, i, seen, list) {
  count = items(text, item)
  for (i = 1; i <= count; i++) {
    if (!matches(item[i], pattern) || length(item[i]) > longest) refuse(name, item[i], "expected " words)
    if (!(item[i] in seen)) list = list (list == "" ? "" : ",") item[i]
    seen[item[i]] = 1
  }
  return list
}

# The same, where an empty list is not what an unset one stands for.
function names_or_none(name, text, pattern, longest, words,   found) {
  found = names(name, text, pattern, longest, words)
  return found == "" ? "," : found
}

# One name.
function name_of(name, text, pattern, longest, words,   found) {
  found = names(name, text, pattern, longest, words)
  if (found ~ /,/) refuse(name, text, "expected one: " words)
  return found
}

# --- registries --------------------------------------------------------------------------------------

# Whether a first component can only be a host.
function names_host(text) { return text == "localhost" || text ~ /[.:A-Z]/ }

function is_host(text,   port) {
  # foo_bar.example is no domain name, yet runtimes take it where a path could stand.
  if (!match(text, /:[0-9]+$/)) return matches(text, address) || matches(text, component)
  port = substr(text, RSTART + 1)
  text = substr(text, 1, RSTART - 1)
  sub(/^0+/, "", port)
  return matches(text, address) && length(port) <= 5 && port + 0 >= 1 && port + 0 <= 65535
}

# Refuses `shown` if `text`, which is a part of it, is not host[:port][/path].
function check_registry(name, shown, text,   slash, host, path) {
  slash = index(text, "/")
  host = text
  if (slash && names_host(substr(text, 1, slash - 1))) {
    host = substr(text, 1, slash - 1)
    path = substr(text, slash + 1)
  } else if (slash || !names_host(text)) {
    host = ""
    path = text
  }
  if (text ~ /:\/\//)
    refuse(name, shown, "expected host[:port][/path] without a scheme")
  if (host != "" && !is_host(host))
    refuse(name, shown, "expected host[:port][/path], host a domain name or an address, port from 1 to 65535")
  if ((host == "" || slash) && (!matches(path, path_pattern) || length(path) > 200))
    refuse(name, shown, "expected host[:port][/path], path of a-z and 0-9 with / or one of . _ __ - between them, at most 200 characters")
}

function registries(name, text,   item, count, i, list) {
  count = items(text, item)
  for (i = 1; i <= count; i++) {
    check_registry(name, item[i], item[i])
    list = list (i == 1 ? "" : ",") item[i]
  }
  return list
}

# source=target, ...; kept in `target`, `star` and by_key for check_rules.
function pairs(name, text,   item, count, i, at, from, to, list) {
  count = items(text, item)
  for (i = 1; i <= count; i++) {
    at = index(item[i], "=")
    if (!at) refuse(name, item[i], "expected source=target")
    from = trim(substr(item[i], 1, at - 1))
    to = trim(substr(item[i], at + 1))
    check_registry(name, item[i], to)
    if (from == "*") {
      if (star != "") refuse(name, item[i], "the source * is named twice")
      star = to
    } else {
      check_registry(name, item[i], from)
      if (key(from) in by_key) refuse(name, item[i], "the source " by_key[key(from)] " is named twice")
      by_key[key(from)] = from
    }
    target[++targets] = to
    list = list (i == 1 ? "" : ",") from "=" to
  }
  return list
}

# One spelling for each registry: without a host it is Docker Hub's; no upper case, no default port.
function key(text,   slash, host) {
  slash = index(text, "/")
  host = slash ? substr(text, 1, slash - 1) : text
  if (!names_host(host)) return "docker.io/" text
  text = substr(text, length(host) + 1)
  sub(/:443$/, "", host)
  host = tolower(host)
  return (host == "index.docker.io" ? "docker.io" : host) text
}

# What no rule shows by itself: two fallbacks, and targets that are matched again.
function check_rules(   registry, i, above) {
  registry = value["REGISTRY"]
  if (star != "" && registry != "" && star != registry)
    refuse("REGISTRY_MAP", "*=" star, "REGISTRY=\"" registry "\" is another fallback; expected one of the two")
  if (registry != "") target[++targets] = registry
  for (i = 1; i <= targets; i++) {
    above = key(target[i])
    while (!(above in by_key) && sub(/\/[^\/]*$/, "", above)) continue
    if (above in by_key)
      refuse("REGISTRY_MAP", value["REGISTRY_MAP"], "the target " target[i] " is matched again by the source " by_key[above] ", a loop")
  }
}

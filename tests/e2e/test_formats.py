# SPDX-License-Identifier: Apache-2.0
#
# The report formats that other tools read: each is read here by a parser that
# castaway's authors did not write, where there is one, and must say of the same
# trace what the JSON report says.
import gzip
import html.parser
import json
import os
import re
import shutil
import xml.etree.ElementTree

from support import Skip, case, castaway, equal, main, member, record_one, report, run, tracee


def pair(directory):
    """A stranded pair: Left.right and Right.left."""
    return record_one(directory, [tracee("shapes"), "pair"])


def rendered(trace, name, *options):
    result = castaway("analyze", trace, "--quiet", "--format=" + name, *options)
    equal((result.status, result.err), (0, b""), str(result))
    return result.out


def leaky(directory):
    """A trace with leaks besides, and its JSON report."""
    trace = record_one(directory, [tracee("leaks"), "direct"])
    return trace, report(trace, "--leaks")


@case
def junit(directory):
    """junit: one case for the trace, and a failing one per finding and leak"""
    trace = pair(directory)
    found = report(trace)["structures"][0]
    root = xml.etree.ElementTree.fromstring(rendered(trace, "junit"))
    suite, = root
    equal((root.tag, suite.tag, suite.get("tests"), suite.get("failures"), suite.get("errors")),
          ("testsuites", "testsuite", "2", "1", "0"))
    whole, case_ = suite.findall("testcase")
    equal((whole.get("name"), len(whole)), ("the trace is complete", 0))
    equal(case_.get("classname"), "castaway.stranded")
    equal(case_.get("name"), "Left, Right [%s]" % found["fingerprint"])
    failure, = case_
    equal((failure.tag, failure.get("type")), ("failure", "stranded"))
    member("make `Right.left` weak", failure.get("message"))
    member("Cycle: Right#2 --left--> Left#1 --right--> Right#2", failure.text)
    trace, known = leaky(directory)
    suite = xml.etree.ElementTree.fromstring(rendered(trace, "junit", "--leaks"))[0]
    equal(sorted(re.search(r"\[(.*)\]", c.get("name")).group(1) for c in suite[1:]),
          sorted(leak["fingerprint"] for leak in known["leaks"]))
    equal(suite.get("failures"), str(len(known["leaks"])))


@case
def junit_partial(directory):
    """junit: a trace that breaks off is an error, and a latent cycle no failure"""
    trace = pair(directory)
    with open(trace, "r+b") as file:
        file.truncate(os.path.getsize(trace) - 1)
    suite = xml.etree.ElementTree.fromstring(rendered(trace, "junit"))[0]
    equal((suite.get("errors"), suite[0][0].tag), ("1", "error"))
    trace = record_one(directory, [tracee("shapes"), "held"])
    suite = xml.etree.ElementTree.fromstring(rendered(trace, "junit", "--latent"))[0]
    latent = [c for c in suite if c.get("classname") == "castaway.latent"]
    equal(([c[0].tag for c in latent], suite.get("failures")), (["system-out"], "0"))


@case
def sarif(directory):
    """sarif: a result per finding, where the reference to break was taken, with its fingerprint"""
    trace = pair(directory)
    found = report(trace)["structures"][0]
    log = json.loads(rendered(trace, "sarif"))
    equal(log["version"], "2.1.0")
    run_, = log["runs"]
    result, = run_["results"]
    rules = run_["tool"]["driver"]["rules"]
    equal((result["ruleId"], rules[result["ruleIndex"]]["id"], result["level"]), ("stranded", "stranded", "error"))
    equal(result["partialFingerprints"], {"castaway/v1": found["fingerprint"]})
    equal(result["occurrenceCount"], 1)
    place = result["locations"][0]
    taken = [edge for edge in found["edges"] if edge["field"] == "left"][0]["acquired_at"][0]
    physical = place["physicalLocation"]
    equal((physical["artifactLocation"]["uri"], physical["region"]["startLine"]), (taken["file"], taken["line"]))
    equal(place["logicalLocations"][0]["fullyQualifiedName"], "shape_hold")
    equal([r["message"]["text"] for r in result["relatedLocations"]],
          ["Right.left was set here", "Left.right was set here"])
    functions = [[f["location"]["logicalLocations"][0]["fullyQualifiedName"] for f in s["frames"]]
                 for s in result["stacks"]]
    equal(functions, [["shape_new", "plant_pair", "main"], ["shape_drop", "plant_pair", "main"]])
    trace, known = leaky(directory)
    results = json.loads(rendered(trace, "sarif", "--leaks"))["runs"][0]["results"]
    equal(sorted(r["partialFingerprints"]["castaway/v1"] for r in results),
          sorted(leak["fingerprint"] for leak in known["leaks"]))


@case
def dot(directory):
    """dot: members and references, the one to break in red; Graphviz takes it"""
    text = rendered(pair(directory), "dot")
    equal(len(re.findall(rb"f1_\d+ \[label=\"(?:Left|Right)\\n48 B, refs 1\"", text)), 2)
    edges = re.findall(rb"(f1_\d) -> (f1_\d) \[label=\"(\w+)\"(.*)\];", text)
    equal({(a, b, label, b"red" in style) for a, b, label, style in edges},
          {(b"f1_1", b"f1_2", b"right", False), (b"f1_2", b"f1_1", b"left", True)})
    if not shutil.which("dot"):
        raise Skip("Graphviz is not installed")
    result = run(["dot", "-Tplain"], stdin=text)
    equal((result.status, result.err), (0, b""))
    equal(sorted(line.split()[0] for line in result.out.splitlines()).count(b"edge"), 2)


class Page(html.parser.HTMLParser):
    """Checks that elements nest, and keeps what matters."""
    VOID = {"meta", "rect", "path", "br"}

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.text = [], [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        equal(self.open.pop(), tag, "nesting")

    def handle_data(self, data):
        self.text.append(data)


@case
def html_page(directory):
    """html: one page that loads nothing, with the cycle as a picture"""
    trace = pair(directory)
    page = Page(rendered(trace, "html").decode())
    equal([a for t, a in page.seen if t in ("script", "link", "img", "iframe") or "src" in a], [], "nothing is loaded")
    details, = [a for t, a in page.seen if t == "details"]
    equal(details["id"], "f" + report(trace)["structures"][0]["fingerprint"])
    equal(len([a for t, a in page.seen if t == "rect"]), 2, "objects")
    equal(sorted(a["class"] for t, a in page.seen if t == "path" and "class" in a), ["edge", "edge break"])
    text = "".join(page.text)
    member("make `Right.left` weak", text)
    member("Stranded by: unref of Right in shape_drop", text)


def fields(data):
    """The fields of one message of protocol buffers: {number: [value, ...]}."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            value |= (data[at] & 0x7f) << shift
            shift += 7
            at += 1
            if data[at - 1] < 0x80:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            value = varint()
        else:
            equal(key & 7, 2, "wire type")
            size = varint()
            value, at = data[at:at + size], at + size
        found.setdefault(key >> 3, []).append(value)
    equal(at, len(data))
    return found


def packed(data):
    values = []
    while data:
        value = shift = 0
        for count, byte in enumerate(data, 1):
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                break
        values.append(value)
        data = data[count:]
    return values


@case
def pprof(directory):
    """pprof: the stranded bytes by allocation stack"""
    profile = fields(gzip.decompress(rendered(pair(directory), "pprof")))
    strings = [s.decode() for s in profile[6]]
    equal(strings[0], "")
    equal([strings[fields(t)[1][0]] for t in profile[1]],
          ["inuse_objects", "inuse_space", "stranded_objects", "stranded_space"])
    equal(strings[profile[14][0]], "stranded_space")
    functions = {f[1][0]: strings[f[2][0]] for f in map(fields, profile[5])}
    locations = {l[1][0]: [functions[fields(line)[1][0]] for line in l.get(4, [])] for l in map(fields, profile[4])}
    totals = [0] * 4
    for sample in map(fields, profile[2]):
        values = packed(sample[2][0])
        stack = [name for number in packed(sample[1][0]) for name in locations[number]]
        totals = [a + b for a, b in zip(totals, values)]
        if values[2]:
            equal(stack[:3], ["shape_new", "plant_pair", "main"])
    # Two objects of sizeof(struct shape) = 2 pointers and 4 longs, nothing else.
    equal(totals, [2, 96, 2, 96])
    paths = {strings[m[5][0]] for m in map(fields, profile[3])}
    member(os.path.realpath(tracee("shapes")), paths)


@case
def heapsnapshot(directory):
    """heapsnapshot: what V8's own format says of itself is true, and the pair hangs below (stranded)"""
    heap = json.loads(rendered(pair(directory), "heapsnapshot"))
    meta = heap["snapshot"]["meta"]
    width, strings = len(meta["node_fields"]), heap["strings"]
    equal(len(heap["nodes"]), width * heap["snapshot"]["node_count"])
    equal(len(heap["edges"]), len(meta["edge_fields"]) * heap["snapshot"]["edge_count"])
    nodes = [dict(zip(meta["node_fields"], heap["nodes"][i:i + width])) for i in range(0, len(heap["nodes"]), width)]
    at, graph = 0, {}
    for node in nodes:
        name = strings[node["name"]]
        for _ in range(node["edge_count"]):
            kind, label, to = heap["edges"][at:at + 3]
            equal(to % width, 0)
            kind = meta["edge_types"][0][kind]
            graph.setdefault(name, []).append(
                (strings[label] if kind == "property" else label, strings[nodes[to // width]["name"]]))
            at += 3
    equal(at, len(heap["edges"]))
    equal(sorted(target for _, target in graph["(stranded)"]), ["Left", "Right"])
    equal((graph["Left"], graph["Right"]), ([("right", "Right")], [("left", "Left")]))
    equal([node["self_size"] for node in nodes if strings[node["name"]] in ("Left", "Right")], [48, 48])
    equal(len({node["id"] for node in nodes}), len(nodes), "ids")


@case
def nothing_found(directory):
    """a trace without findings gives each format its empty form"""
    trace = record_one(directory, [tracee("shapes"), "nothing"])
    suite = xml.etree.ElementTree.fromstring(rendered(trace, "junit"))[0]
    equal((suite.get("tests"), suite.get("failures")), ("1", "0"))
    equal(json.loads(rendered(trace, "sarif"))["runs"][0]["results"], [])
    equal(rendered(trace, "dot").count(b"subgraph"), 0)
    member("No stranded structure.", "".join(Page(rendered(trace, "html").decode()).text))
    assert 6 in fields(gzip.decompress(rendered(trace, "pprof")))
    member("(stranded)", json.loads(rendered(trace, "heapsnapshot"))["strings"])


main()

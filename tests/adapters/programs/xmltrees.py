# SPDX-License-Identifier: Apache-2.0
"""XML: DOM nodes refer to their parents, element trees do not."""
import html.parser
import io
import xml.dom.minidom
import xml.etree.ElementTree
import xml.sax

TEXT = "<r>" + "".join(f'<a i="{i}"><b>t{i}</b><c/></a>' for i in range(120)) + "</r>"


class Counter(xml.sax.ContentHandler):
    def __init__(self):
        super().__init__()
        self.count = 0
        self.itself = self

    def startElement(self, name, attributes):
        self.count += 1


class Links(html.parser.HTMLParser):
    def handle_starttag(self, tag, attributes):
        self.last = (tag, self)


total = 0
for _ in range(4):
    document = xml.dom.minidom.parseString(TEXT)
    total += len(document.toxml())
    tree = xml.etree.ElementTree.fromstring(TEXT)
    total += len(list(tree.iter()))
    total += len(list(xml.etree.ElementTree.iterparse(io.BytesIO(TEXT.encode()))))
    counter = Counter()
    xml.sax.parseString(TEXT, counter)
    total += counter.count
    links = Links()
    links.feed("<p><a href='x'>y</a></p>")
kept = xml.dom.minidom.parseString(TEXT)
print(total, kept.documentElement.tagName)

// `-o jsonpath`: what templates print, as kubectl does, and what is told of those that are wrong.

import ClusterProto
import Testing

@testable import stint

@Suite("JSONPath templates")
struct CommandLineJSONPathTests {
  private let list: JSON = [
    "kind": "List",
    "items": [
      [
        "metadata": ["name": "a", "labels": ["app.io/x": "1"]],
        "status": [
          "n": 3, "conditions": [["type": "Ready", "status": "True"], ["type": "Other", "status": "False"]],
        ],
      ],
      ["metadata": ["name": "b"], "status": ["ok": false]],
    ],
  ]

  @Test(
    "templates print what kubectl prints",
    arguments: [
      ("{.kind}", "List"), (".kind", "List"), ("{$.kind}!", "List!"), ("{.items[*].metadata.name}", "a b"),
      ("{.items[0].status.n}", "3"), ("{.items[-1].status}", "{\"ok\":false}"), ("{.items[7].status}", ""),
      ("{.nothing.here}", ""), ("{.kind[0]}", ""), ("{.items[0].metadata.labels.app\\.io/x}", "1"),
      ("{.items[0].metadata.labels['app.io/x']}", "1"),
      ("{range .items[*]}{.metadata.name}{\"\\t\"}{.status.n}{\"\\n\"}{end}", "a\t3\nb\t\n"),
      ("{.items[0].status.conditions[?(@.type==\"Ready\")].status}", "True"),
      ("{.items[0].status.conditions[?(@.type != 'Ready')].status}", "False"),
      ("{.items[?(@.status.n)].metadata.name}", "a"), ("{.kind} and {.items[0].metadata.name}", "List and a"),
    ])
  func prints(template: String, expected: String) throws { #expect(try JSONPath(template).text(of: list) == expected) }

  @Test(
    "a template that is wrong is refused with its place in words",
    arguments: [
      ("{.a", "unclosed action"), ("{range .a}{.b}", "unclosed range"), ("{end}", "nothing to end"),
      ("{.a[}", "an index is"), ("{.a[1:2]}", "an index is"), ("{.a[1,2]}", "slices"), ("{\"x}", "unterminated"),
      ("{..a}", "recursive"),
      ("{.a[?(.b]}", "unclosed filter"), ("{)}", "unrecognized character"),
      (String(repeating: "{range .a}", count: 30), "too many ranges"),
    ])
  func refuses(template: String, why: String) {
    let error = #expect(throws: CommandError.self) { try JSONPath(template) }
    #expect(error?.message.contains(why) == true, "\(error?.message.prefix(200) ?? "")")
  }

  @Test("get prints one object, or a List, by a template; a wrong template asks nothing of the cluster")
  func get() {
    let fake = FakeCluster()
    let object: JSON = ["metadata": ["name": "x"]]
    #expect(
      fake.run(["get", "job", "x", "-o", "jsonpath={.kind}/{.metadata.name}"]) { _ in
        [.done(code: 200, object: object, warnings: [])]
      } == 0)
    #expect(fake.out == "Job/x")
    let other = FakeCluster()
    #expect(other.run(["get", "job", "x", "-o", "jsonpath={.kind"]) { _ in [] } == 1)
    #expect(other.asked.isEmpty && other.err.contains("unclosed action"))
  }
}

// The page's table of roles is what the built-in rules say, and each of its cells is what both doors do.

import ClusterIO
import ClusterProto
import Glibc
import HTTPTestSupport
import Testing

@testable import Coordinator
@testable import CoordinatorCore

@Suite("The table of roles")
struct RoleTableTests {
  private static let root = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined()
  private static let page = "\(root)/docs/security.md"
  private static let begin = "<!-- roles: written by RoleTableTests -->\n"
  private static let end = "<!-- end of roles -->"
  private static let bound = ["view", "edit", "admin", "cluster-admin"]

  /// What stands between the marks.
  private static func split(_ text: String) throws -> (before: String, table: String, after: String) {
    let start = try #require(text.firstRange(of: begin))
    let finish = try #require(text.firstRange(of: end))
    return (
      String(text[..<start.upperBound]), String(text[start.upperBound..<finish.lowerBound]),
      String(text[finish.lowerBound...])
    )
  }

  private static func stored() throws -> String { String(decoding: try Files.read(page), as: UTF8.self) }

  @Test("the table of docs/security.md is what the built-in roles say")
  func isCurrent() throws {
    let parts = try Self.split(try Self.stored())
    if getenv("STINT_WRITE_DOCS") != nil {
      try Files.writeAtomically(Self.page, Array((parts.before + RoleTable.text + parts.after).utf8), mode: 0o644)
    }
    let table = try Self.split(try Self.stored()).table
    #expect(table == RoleTable.text, "out of date: STINT_WRITE_DOCS=1 swift test --filter RoleTableTests")
  }

  /// The page's cells by row and role.
  private static func cells() throws -> [(row: RoleTable.Row, role: String, verbs: [String])] {
    let lines = try split(try stored()).table.split(separator: "\n").dropFirst(2)
    var result: [(row: RoleTable.Row, role: String, verbs: [String])] = []
    for line in lines {
      let columns = line.split(separator: "|").map { $0.trimmingPrefix(" ").reversed().trimmingPrefix(" ").reversed() }
        .map { String($0) }
      let row = try #require(RoleTable.rows.first { "`\($0.name)`" == columns[0] }, "\(line)")
      for (role, cell) in zip(RoleTable.roles, columns.dropFirst(2)) {
        result.append((row, role, RoleTable.verbs(cell: cell, row)))
      }
    }
    return result
  }

  /// Who has that role, and no other.
  private static func user(_ role: String) -> String { "of-\(role)" }

  private static func subject(_ role: String) -> Subject {
    Subject(name: user(role), groups: [Subject.authenticated], door: .https)
  }

  private static func binding(_ role: String) -> JSON {
    [
      "metadata": ["name": .string("table-\(role)")], "roleRef": ["kind": "ClusterRole", "name": .string(role)],
      "subjects": [["kind": "User", "name": .string(user(role))]],
    ]
  }

  /// A core in which each role of `bound` is given to a user of its name: in `default`, cluster-admin everywhere.
  private static func core() throws -> CoordinatorCore {
    let now = Now(boot: BootTime(milliseconds: 1), wall: WallTime(nanoseconds: 1_800_000_000_000_000_000))
    var core = try CoordinatorCore(configuration: CoordinatorConfiguration(), rows: [], seed: 1, now: now)
    _ = core.step([], at: now)
    for (index, role) in bound.enumerated() {
      let isEverywhere = role == BuiltIn.clusterAdmin
      var request = APIRequest(
        verb: .create, kind: isEverywhere ? .clusterrolebindings : .rolebindings, namespace: "default",
        body: binding(role))
      request.subject = .administrator
      let effects = core.step([.request(RequestID(index + 1), request)], at: now)
      let isMade = effects.contains { if case .reply(_, .done(201, _, _)) = $0 { true } else { false } }
      #expect(isMade, "\(role)")
    }
    return core
  }

  @Test("each cell: the verbs that it names are allowed where the role is bound, all others and elsewhere are not")
  func decisions() throws {
    let core = try Self.core()
    var checked = 0
    for (row, role, verbs) in try Self.cells() where role != "agent" {
      // What everybody has, each has.
      let everybody = RoleTable.verbs("everybody", row)
      for verb in RoleTable.allVerbs where row.isAsked(verb) {
        for namespace in ["default", "kube-system", ""] {
          let access = AccessAttributes(
            verb: verb, group: row.group, resource: row.resource, subresource: row.subresource,
            namespace: row.isNamespaced || row.resource == "namespaces" ? namespace : "", name: "x")
          let isBoundHere = role == "cluster-admin" || role == "everybody" || access.namespace == "default"
          // Of what is not served cluster-admin has all verbs, too.
          let isNamed = verbs.contains(verb) || role == "cluster-admin"
          let got = core.authorize(Self.subject(role), access) == .allowed
          #expect(
            got == (isNamed && isBoundHere || everybody.contains(verb)), "\(role) \(verb) \(row.name) in '\(namespace)'"
          )
          checked += 1
        }
      }
    }
    #expect(checked > 3_000)
  }

  /// A live coordinator in which each role is given to a user of its own, and that user's clients at both doors.
  private static func asUsers(
    _ body: (_ role: String, _ api: LiveAPI, _ https: HTTPTestClient, _ native: TestClient) throws -> Void
  ) throws {
    try LiveAPI.with { api in
      for role in bound {
        let kind: Kind = role == BuiltIn.clusterAdmin ? .clusterrolebindings : .rolebindings
        #expect(try api.ask("POST", APIFixture.collection(kind), body: binding(role)).code == 201)
      }
      for role in bound + ["everybody"] {
        let identity = try api.live.user(user(role), groups: ["people"])
        let https = try api.connect(try TLSContext(client: identity.own, authority: identity.authority))
        let native = try TestClient(
          api.live.loop, api.live.server.address, role: .client, tls: try TLSContext(native: identity))
        try api.live.wait("the hello succeeds") { native.result != nil }
        try body(role, api, https, native)
      }
    }
  }

  @Test("by both doors: each verb of each kind is refused or let through as its cell says")
  func doors() throws {
    let cells = try Self.cells()
    try Self.asUsers { role, api, https, native in
      for kind in Kind.allCases {
        for namespace in kind.isNamespaced ? ["default", "kube-system"] : [""] {
          for verb in APIVerb.allCases where ![.log, .connect].contains(verb) {
            let cell = cells.first { $0.role == role && $0.row.name == Self.rowName(kind) }
            let isHere = role == "cluster-admin" || namespace == "default"
            // Of what is not served cluster-admin is told that, not that it may not.
            let isAllowed = (role == "cluster-admin" || cell?.verbs.contains(verb.rawValue) == true) && isHere
            if isAllowed, [.create, .deletecollection].contains(verb) { continue }
            let codes = [
              try Self.code(https, api, verb, kind, namespace), try Self.code(native, api, verb, kind, namespace),
            ]
            #expect(codes.allSatisfy { ($0 == 403) != isAllowed }, "\(role) \(verb) \(kind) in \(namespace): \(codes)")
          }
        }
      }
    }
  }

  @Test("by both doors: each verb of each subresource, logs among them, is refused or let through as its cell says")
  func subresources() throws {
    let cells = try Self.cells()
    var checked = 0
    try Self.asUsers { role, api, https, native in
      for served in ServedResource.all {
        guard let kind = Kind.allCases.first(where: { $0.plural == served.plural && $0.group == served.group }) else {
          continue
        }
        for part in served.subresources {
          for namespace in kind.isNamespaced ? ["default", "kube-system"] : [""] {
            for verb in part.verbs.compactMap({ APIVerb(rawValue: $0) }) {
              let name = Self.rowName(kind, part.name)
              let cell = try #require(cells.first { $0.role == role && $0.row.name == name }, "\(name)")
              let isAllowed = cell.verbs.contains(verb.rawValue) && (role == "cluster-admin" || namespace == "default")
              let asked = part.name == "log" ? APIVerb.log : verb
              let codes = [
                try Self.code(https, api, verb, kind, namespace, part.name),
                try Self.code(native, api, asked, kind, namespace, part.name),
              ]
              #expect(
                codes.allSatisfy { ($0 == 403) != isAllowed }, "\(role) \(verb) \(name) in \(namespace): \(codes)")
              checked += 1
            }
          }
        }
      }
    }
    #expect(checked > 100)
  }

  private static func rowName(_ kind: Kind, _ part: String = "") -> String {
    let path = part.isEmpty ? kind.plural : "\(kind.plural)/\(part)"
    return kind.group.isEmpty ? path : "\(path).\(kind.group)"
  }

  private static func code(
    _ client: HTTPTestClient, _ api: LiveAPI, _ verb: APIVerb, _ kind: Kind, _ namespace: String, _ part: String = ""
  ) throws -> Int {
    let collection = APIFixture.collection(kind, namespace: namespace)
    let body = APIFixture.object(kind, "absent")
    let named = part.isEmpty ? "\(collection)/absent" : "\(collection)/absent/\(part)"
    let (method, target): (String, String) =
      switch verb {
      case .list: ("GET", collection)
      // Who may watch is told what is wrong with it, and it ends.
      case .watch: ("GET", "\(collection)?watch=1&fieldSelector=nonsense")
      case .create: ("POST", part.isEmpty ? collection : named)
      case .deletecollection: ("DELETE", collection)
      case .update: ("PUT", named)
      case .patch: ("PATCH", named)
      case .delete: ("DELETE", named)
      default: ("GET", named)
      }
    let type = verb == .patch ? PatchKind.merge.rawValue : "application/json"
    let hasBody = [.create, .update, .patch].contains(verb)
    client.connection.send(HTTPTestClient.request(method, target, type: type, body: hasBody ? body.bytes : []))
    var answer: HTTPTestAnswer?
    try api.live.wait("an answer comes to \(method) \(target)") {
      answer = client.takeAnswer()
      return answer != nil || client.isClosed
    }
    return answer?.code ?? 0
  }

  private static func code(
    _ client: TestClient, _ api: LiveAPI, _ verb: APIVerb, _ kind: Kind, _ namespace: String, _ part: String = ""
  ) throws -> Int {
    let named = !part.isEmpty || ![.list, .watch, .create, .deletecollection].contains(verb)
    var request = APIRequest(
      verb: verb, kind: kind, namespace: namespace, name: named ? "absent" : "", subresource: part,
      body: [.create, .update, .patch].contains(verb) ? APIFixture.object(kind, "absent") : nil)
    if verb == .patch { request.options.patchKind = .merge }
    if verb == .watch { request.options.fieldSelector = "nonsense" }
    client.send(ClientMessage.request(id: 1, request).json)
    try api.live.wait("\(verb) \(kind) is answered") { client.messages.contains { $0["type"] == "done" } }
    return Int(client.takeMessages().last?["code"]?.intValue ?? 0)
  }
}

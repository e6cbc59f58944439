// Owns: `top`: what pods, nodes or Jobs use now; pods and nodes as `kubectl top` prints them. It must not know how it
// is measured.

import ClusterProto

/// `stint top`.
enum TopCommand {
  static let words = ["pods", "nodes", "jobs"]
  private static let subjects: [String: String] = [
    "pod": "pods", "pods": "pods", "po": "pods", "node": "nodes", "nodes": "nodes", "no": "nodes", "job": "jobs",
    "jobs": "jobs",
  ]

  @Sendable static func run(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    let operands = arguments.words
    guard let subject = operands.first.flatMap({ subjects[$0] }) else {
      throw arguments.problem("what is shown: pods, nodes or jobs")
    }
    for flag in ["containers", "sum"] where arguments.isOn(flag) && subject == "nodes" {
      throw arguments.problem("--\(flag) is about pods")
    }
    if subject == "jobs", arguments.isOn("containers") { throw arguments.problem("--containers is about pods") }
    let cluster = try context.cluster()
    let name = operands.count > 1 ? operands[1] : ""
    let items = try measured(subject, name, context, cluster)
    guard !items.isEmpty else {
      context.console.note(
        subject == "nodes" ? "No node has told yet what it uses." : "No pod has told yet what it uses.")
      return 0
    }
    var table = TopTable(sortedBy: arguments.value("sort-by"))
    switch subject {
    case "nodes":
      let nodes = try cluster.send(APIRequest(verb: .list, kind: .nodes)).object["items"]?.arrayValue ?? []
      table.nodes(items, nodes)
    case "jobs": table.jobs(items, namespaces: context.isAllNamespaces)
    default: table.pods(items, byContainer: arguments.isOn("containers"), namespaces: context.isAllNamespaces)
    }
    context.console.out(table.text(headers: !arguments.isOn("no-headers"), sum: arguments.isOn("sum")))
    return 0
  }

  /// What was measured; of Jobs, their pods.
  private static func measured(
    _ subject: String, _ name: String, _ context: Context, _ cluster: Cluster
  ) throws -> [JSON] {
    let kind: Kind = subject == "nodes" ? .nodes : .pods
    let isOne = !name.isEmpty && subject != "jobs"
    var request = APIRequest(
      verb: isOne ? .get : .list, kind: kind, namespace: context.listNamespace(kind), name: isOne ? name : "",
      subresource: "metrics")
    if !name.isEmpty, kind.isNamespaced { request.namespace = context.namespace }
    request.options.labelSelector = context.arguments.value("selector")
    if subject == "jobs" {
      let jobs = "batch.kubernetes.io/job-name" + (name.isEmpty ? "" : "=\(name)")
      request.options.labelSelector = [request.options.labelSelector, jobs].compactMap { $0 }.joined(separator: ",")
    }
    let object = try cluster.send(request).object
    return isOne ? [object] : object["items"]?.arrayValue ?? []
  }
}

/// Rows and what they are sorted by.
struct TopTable {
  private struct Row {
    /// Before the amounts.
    var names: [String]
    var cpu: Int64
    var memory: Int64
    /// Instead of the two amounts alone.
    var cells: [String]
  }

  private let sortedBy: String?
  private var headers: [String] = []
  private var rows: [Row] = []

  init(sortedBy: String?) { self.sortedBy = sortedBy }

  mutating func pods(_ items: [JSON], byContainer: Bool, namespaces: Bool) {
    headers = (namespaces ? ["NAMESPACE"] : []) + (byContainer ? ["POD", "NAME"] : ["NAME"])
    headers += ["CPU(cores)", "MEMORY(bytes)"]
    for item in items {
      let names = (namespaces ? [Self.text(item, "namespace")] : []) + [Self.text(item, "name")]
      let containers = item["containers"]?.arrayValue ?? []
      if byContainer {
        for container in containers { add(names + [container["name"]?.stringValue ?? ""], Self.amounts(container)) }
      } else {
        add(names, Self.sum(containers.map(Self.amounts)))
      }
    }
  }

  mutating func jobs(_ items: [JSON], namespaces: Bool) {
    headers = (namespaces ? ["NAMESPACE"] : []) + ["NAME", "PODS", "CPU(cores)", "MEMORY(bytes)"]
    var found: [[String]: (pods: Int, amounts: (cpu: Int64, memory: Int64))] = [:]
    for item in items {
      let job = item[path: ["metadata", "labels", "batch.kubernetes.io/job-name"]]?.stringValue ?? ""
      let names = (namespaces ? [Self.text(item, "namespace")] : []) + [job]
      let own = Self.sum((item["containers"]?.arrayValue ?? []).map(Self.amounts))
      let known = found[names] ?? (0, (0, 0))
      found[names] = (known.pods + 1, Self.sum([known.amounts, own]))
    }
    for names in found.keys.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
      guard let job = found[names] else { continue }
      add(names + ["\(job.pods)"], job.amounts)
    }
  }

  mutating func nodes(_ items: [JSON], _ nodes: [JSON]) {
    headers = ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]
    for item in items {
      let name = Self.text(item, "name")
      let node = nodes.first { Self.text($0, "name") == name }
      let whole = NodeCapacity(json: node?[path: ["status", "allocatable"]])
      let used = Self.amounts(item)
      let cells = Self.cells(used)
      let shares = [Self.share(used.cpu, of: whole.cpuMillicores), Self.share(used.memory, of: whole.memoryBytes)]
      rows.append(
        Row(
          names: [name], cpu: used.cpu, memory: used.memory, cells: [cells[0], shares[0], cells[1], shares[1]]))
    }
  }

  private mutating func add(_ names: [String], _ amounts: (cpu: Int64, memory: Int64)) {
    rows.append(Row(names: names, cpu: amounts.cpu, memory: amounts.memory, cells: Self.cells(amounts)))
  }

  /// As kubectl prints it: without a wish by name, else the largest first; a sum below its line.
  func text(headers hasHeaders: Bool, sum hasSum: Bool) -> String {
    var rows = rows
    if let sortedBy {
      // Rows of one amount keep their order.
      let keyed = rows.enumerated().map { (amount: sortedBy == "cpu" ? $1.cpu : $1.memory, place: $0, row: $1) }
      rows = keyed.sorted { $0.amount == $1.amount ? $0.place < $1.place : $0.amount > $1.amount }.map(\.row)
    }
    var lines = rows.map { $0.names + $0.cells }
    if hasSum {
      let empty = Array(repeating: "", count: (rows.first?.names.count ?? 1) - 1)
      let total = Self.sum(rows.map { ($0.cpu, $0.memory) })
      lines.append(empty + ["", "________", "________"])
      lines.append(empty + [""] + Self.cells(total))
    }
    if hasHeaders { lines.insert(headers, at: 0) }
    return TabWriter.table(lines.first ?? [], Array(lines.dropFirst()))
  }

  // Amounts.

  private static func text(_ item: JSON, _ field: String) -> String {
    item[path: ["metadata", field]]?.stringValue ?? ""
  }

  private static func share(_ part: Int64, of whole: Int64) -> String {
    // Both are the node's words.
    guard whole > 0 else { return "<unknown>" }
    return "\(Int64(exactly: (Double(part) / Double(whole) * 100).rounded(.towardZero)) ?? Int64.max)%"
  }

  private static func sum(_ amounts: [(cpu: Int64, memory: Int64)]) -> (cpu: Int64, memory: Int64) {
    amounts.reduce((0, 0)) { ($0.0.addingSaturated($1.cpu), $0.1.addingSaturated($1.memory)) }
  }

  /// Millicores, rounded up as kubectl does, and bytes.
  private static func amounts(_ item: JSON) -> (cpu: Int64, memory: Int64) {
    let usage = item["usage"]
    return (
      Quantity.parseMillis(usage?["cpu"]?.stringValue ?? "") ?? 0,
      Quantity.parseBytes(usage?["memory"]?.stringValue ?? "") ?? 0
    )
  }

  private static func cells(_ amounts: (cpu: Int64, memory: Int64)) -> [String] {
    ["\(amounts.cpu)m", "\(amounts.memory / (1 << 20))Mi"]
  }
}

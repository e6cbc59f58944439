// Owns: `top`: what pods or nodes use now, as `kubectl top` prints it. It must not know how it is measured.

import ClusterProto

/// `stint top`.
enum TopCommand {
  static let words = ["pods", "nodes"]

  @Sendable static func run(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    let operands = arguments.words
    let kinds: [String: Kind] = [
      "pod": .pods, "pods": .pods, "po": .pods, "node": .nodes, "nodes": .nodes, "no": .nodes,
    ]
    guard let kind = operands.first.flatMap({ kinds[$0] }) else {
      throw arguments.problem("what is shown: pods or nodes")
    }
    let cluster = try context.cluster()
    let name = operands.count > 1 ? operands[1] : ""
    var request = APIRequest(
      verb: name.isEmpty ? .list : .get, kind: kind, namespace: context.listNamespace(kind), name: name,
      subresource: "metrics")
    if !name.isEmpty, kind.isNamespaced { request.namespace = context.namespace }
    request.options.labelSelector = arguments.value("selector")
    let object = try cluster.send(request).object
    let items = name.isEmpty ? object["items"]?.arrayValue ?? [] : [object]
    guard !items.isEmpty else {
      context.console.note(kind == .nodes ? "No node has told yet what it uses." : "No pod has told yet what it uses.")
      return 0
    }
    var rows: [[String]]
    if kind == .nodes {
      let nodes = try cluster.send(APIRequest(verb: .list, kind: .nodes)).object["items"]?.arrayValue ?? []
      rows = [["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"]] + items.map { nodeRow($0, nodes) }
    } else {
      let isWide = arguments.isOn("containers")
      rows = [(isWide ? ["POD", "NAME"] : ["NAME"]) + ["CPU(cores)", "MEMORY(bytes)"]]
      if context.isAllNamespaces { rows[0].insert("NAMESPACE", at: 0) }
      for item in items {
        for row in podRows(item, byContainer: isWide) {
          let namespace = item[path: ["metadata", "namespace"]]?.stringValue ?? ""
          rows.append(context.isAllNamespaces ? [namespace] + row : row)
        }
      }
    }
    if arguments.isOn("no-headers") { rows.removeFirst() }
    context.console.out(TabWriter.table(rows.first ?? [], Array(rows.dropFirst())))
    return 0
  }

  private static func podRows(_ item: JSON, byContainer: Bool) -> [[String]] {
    let containers = item["containers"]?.arrayValue ?? []
    if byContainer { return containers.map { [name(item), $0["name"]?.stringValue ?? ""] + cells(amounts($0)) } }
    var (cpu, memory): (Int64, Int64) = (0, 0)
    for (more, bytes) in containers.map(amounts) {
      cpu = cpu.addingSaturated(more)
      memory = memory.addingSaturated(bytes)
    }
    return [[name(item)] + cells((cpu, memory))]
  }

  private static func nodeRow(_ item: JSON, _ nodes: [JSON]) -> [String] {
    let node = nodes.first { name($0) == name(item) }
    let whole = NodeCapacity(json: node?[path: ["status", "allocatable"]])
    let used = amounts(item)
    let cells = cells(used)
    func share(_ part: Int64, of whole: Int64) -> String {
      // Both are the node's words.
      guard whole > 0 else { return "<unknown>" }
      return "\(Int64(exactly: (Double(part) / Double(whole) * 100).rounded(.towardZero)) ?? Int64.max)%"
    }
    return [
      name(item), cells[0], share(used.0, of: whole.cpuMillicores), cells[1], share(used.1, of: whole.memoryBytes),
    ]
  }

  private static func name(_ item: JSON) -> String { item[path: ["metadata", "name"]]?.stringValue ?? "" }

  /// Millicores, rounded up as kubectl does, and bytes.
  private static func amounts(_ item: JSON) -> (Int64, Int64) {
    let usage = item["usage"]
    return (
      Quantity.parseMillis(usage?["cpu"]?.stringValue ?? "") ?? 0,
      Quantity.parseBytes(usage?["memory"]?.stringValue ?? "") ?? 0
    )
  }

  private static func cells(_ amounts: (Int64, Int64)) -> [String] {
    ["\(amounts.0)m", "\(amounts.1 / (1 << 20))Mi"]
  }
}

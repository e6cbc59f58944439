// Owns: health: `/healthz`, `/livez`, `/readyz`, each check of them by its name, `verbose` and `exclude`.
// It must not know what is checked: a coordinator whose store fails stops, so one that answers is well.

enum HTTPHealth {
  private static let roots = ["healthz", "livez", "readyz"]
  /// Kubernetes' names; etcd is the store.
  private static let checks = ["ping", "log", "etcd"]

  /// The answer for a path of health; nil for every other one.
  static func answer(_ target: HTTPTarget) -> HTTPFacts.Answer? {
    guard let root = target.parts.first, roots.contains(root) else { return nil }
    if target.parts.count == 2, checks.contains(target.parts[1]) { return HTTPFacts.Answer(text: "ok") }
    guard target.parts.count == 1 else { return nil }
    guard target.text("verbose") != nil else { return HTTPFacts.Answer(text: "ok") }
    let excluded = Set(target.texts("exclude"))
    var text = ""
    for check in checks { text += "[+]\(check) \(excluded.contains(check) ? "excluded: " : "")ok\n" }
    let unknown = excluded.subtracting(checks).sorted()
    if !unknown.isEmpty {
      let names = unknown.map { "\"\($0)\"" }.joined(separator: ",")
      text += "warn: some health checks cannot be excluded: no matches for \(names)\n"
    }
    return HTTPFacts.Answer(text: text + "\(root) check passed\n")
  }
}

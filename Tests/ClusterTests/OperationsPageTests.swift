// docs/operations.md, followed word for word on machines that were empty before.

import ClusterIO
import Testing

@Suite("The page for operators", .enabled(if: Machines.areAvailable, Comment(rawValue: Machines.requirement)))
struct OperationsPageTests {
  private static let page: String = {
    let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    return "/\(root)/docs/operations.md"
  }()

  @Test("its commands, typed one after the other on the machines that it names, print what it shows")
  func wordForWord() async throws {
    try await Blocking.run(isBusy: false) {
      let page = OperationsPage(String(decoding: try Files.read(Self.page), as: UTF8.self))
      try check(page.steps.count > 15 && page.machines.contains("laptop"), "the page has \(page.steps.count) commands")
      let machines = try Machines(page.machines)
      defer { machines.end() }
      let hasKubectl = try machines.run(on: "laptop", "which", "kubectl").status == 0
      let typist = OperationsTypist(machines)
      for step in page.steps {
        if step.command.hasPrefix("kubectl "), !hasKubectl {
          print("skipped, as there is no kubectl: \(step.command)")
          continue
        }
        do {
          try typist.type(step)
        } catch {
          throw Failure("\(step.machine)$ \(step.command)\n\(error)\n\(machines.story())")
        }
      }
    }
  }
}

// How many lines refusals have in the audit.

import Testing

@testable import Coordinator

@Suite("Lines for refusals")
struct RefusalBudgetTests {
  @Test("one noisy address hides no other's refusals, and what had no line is told by address when the second is over")
  func noisy() {
    var budget = RefusalBudget()
    for number in 0..<1_000 {
      let line = budget.take(from: "10.0.0.1:\(number)", second: 1)
      #expect(line.hasLine == (number < RefusalBudget.linesEach) && line.left.isEmpty)
    }
    #expect(budget.take(from: "10.0.0.2:1", second: 1).hasLine)
    // One machine chooses its last 64 bits as it likes.
    for number in 0..<20 { _ = budget.take(from: "[2001:db8::\(number + 1)]:1", second: 1) }
    let next = budget.take(from: "10.0.0.1:7", second: 2)
    #expect(next.hasLine)
    #expect(next.left == [.init(from: "10.0.0.1", count: 990), .init(from: "2001:db8::", count: 10)])
    #expect(budget.close().isEmpty && budget.close().isEmpty)
  }

  @Test("a crowd of addresses has a bounded number of lines and of counts")
  func crowd() {
    var budget = RefusalBudget()
    var lines = 0
    for host in 0..<100_000 {
      if budget.take(from: "10.\(host >> 16).\(host >> 8 & 255).\(host & 255):1", second: 1).hasLine { lines += 1 }
    }
    #expect(lines == RefusalBudget.originLimit + RefusalBudget.linesEach)
    #expect(budget.close() == [.init(from: "", count: 100_000 - lines)])
  }
}

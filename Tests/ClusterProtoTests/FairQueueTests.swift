// The queue in which lanes take turns.

import ClusterProto
import Testing

@Suite("Fair queue")
struct FairQueueTests {
  @Test("lanes take turns, each in its own order, and one that was empty begins behind the others")
  func turns() {
    var queue = FairQueue<Int>()
    for number in 0..<300 { queue.append(number, lane: "long") }
    queue.append(1_000, lane: "short")
    queue.append(1_001, lane: "short")
    #expect((0..<5).map { _ in queue.next() } == [0, 1_000, 1, 1_001, 2])
    queue.append(1_002, lane: "short")
    #expect(queue.count == 298)
    #expect([queue.next(), queue.next(), queue.next()] == [3, 1_002, 4])
    var rest: [Int] = []
    while let next = queue.next() { rest.append(next) }
    #expect(rest == Array(5..<300) && queue.isEmpty && queue.count == 0)
    queue.append(7, lane: "long")
    #expect(queue.next() == 7 && queue.next() == nil)
  }

  @Test("lanes that have gone leave no room behind, and a name that comes back begins anew")
  func crowds() {
    var queue = FairQueue<String>()
    for round in 0..<3 {
      for lane in 0..<200 { for member in 0..<3 { queue.append("\(lane)/\(member)", lane: "lane-\(round)-\(lane)") } }
      var seen: [String] = []
      while let next = queue.next() { seen.append(next) }
      #expect(seen == (0..<3).flatMap { member in (0..<200).map { "\($0)/\(member)" } })
    }
    // Comes and goes one at a time, as requests do that are served as they come.
    for number in 0..<1_000 {
      queue.append("\(number)", lane: "lane-\(number % 3)")
      #expect(queue.next() == "\(number)" && queue.isEmpty)
    }
  }
}

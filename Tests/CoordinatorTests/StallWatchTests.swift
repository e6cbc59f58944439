// The store's transaction in flight, watched: the core hears of one that takes too long, and of its end, once each.

import ClusterIO
import CoordinatorCore
import Testing

@testable import Coordinator

@Suite("A transaction in flight is watched") struct StallWatchTests {
  private final class Told { var events: [CoordinatorEvent] = [] }

  @Test("one that takes longer than a pause is told with its length, once, and its end once; a quick one is not told")
  func tells() throws {
    let loop = try EventLoop()
    let told = Told()
    let watch = StallWatch(loop: loop, milliseconds: 30) { told.events.append($0) }
    watch.commitBegins()
    watch.commitEnds()
    #expect(told.events == [])
    let began = Clocks.boot()
    watch.commitBegins()
    while told.events.isEmpty { try loop.runOnce(timeoutMilliseconds: -1) }
    guard case .storeStalls(let first)? = told.events.first else { return #expect(Bool(false), "\(told.events)") }
    #expect(first >= 30 && Clocks.boot() - began >= 30_000_000)
    watch.commitEnds()
    guard told.events.count == 2, case .storeAnswered(let whole) = told.events[1] else {
      return #expect(Bool(false), "\(told.events)")
    }
    #expect(whole >= first)
    watch.commitBegins()
    watch.commitEnds()
    #expect(told.events.count == 2)
  }
}

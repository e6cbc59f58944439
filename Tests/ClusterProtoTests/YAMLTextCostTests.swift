// What the YAML of a long text costs: as much as it is long. Processor time is compared, so `make check` runs this
// suite beside nothing else; the smallest of several rounds counts, since a busy machine only ever adds.

import Glibc
import Testing

@testable import ClusterProto

@Suite("cost of YAML text", .serialized) struct YAMLTextCostTests {
  private func cost(_ work: () -> Void) -> Double {
    var begin = timespec()
    var end = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin)
    work()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end)
    return Double(end.tv_sec - begin.tv_sec) + Double(end.tv_nsec - begin.tv_nsec) / 1e9
  }

  @Test(
    "a long text costs some of its JSON, and twice the text twice as much",
    arguments: [
      "0123456789abcdef", "a line of text: with more\n",
    ])
  func linear(piece: String) {
    func text(_ bytes: Int) -> JSON {
      ["data": ["x": .string(String(repeating: piece, count: bytes / piece.utf8.count))]]
    }
    let (half, whole) = (text(1 << 19), text(1 << 20))
    var best = (json: Double.infinity, half: Double.infinity, whole: Double.infinity)
    for _ in 0..<7 {
      best.json = min(best.json, cost { _ = whole.bytes })
      best.half = min(best.half, cost { _ = half.yamlBytes })
      best.whole = min(best.whole, cost { _ = whole.yamlBytes })
    }
    // In a debug build some 20 to 60 times; character by character it was thousands.
    #expect(best.whole < 400 * best.json + 0.01, "\(best)")
    #expect(best.whole < 3.5 * best.half + 0.01, "\(best)")
  }
}

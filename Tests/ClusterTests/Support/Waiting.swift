// Owns: how the cluster tests wait and fail: each on a thread of its own, conditions with deadlines, checks that throw.
// It must not know clusters.

import ClusterIO
import Dispatch
import Glibc

/// A check that did not hold, with what was seen.
struct Failure: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) { self.description = description }
}

/// Ends the test unless `condition` holds. (Expectations of the testing library need its own task; these tests block.)
func check(
  _ condition: @autoclosure () throws -> Bool, _ message: @autoclosure () -> String, line: UInt = #line
) throws {
  guard try condition() else { throw Failure("line \(line): \(message())") }
}

func checkEqual<Value: Equatable>(_ seen: Value, _ wanted: Value, _ what: String, line: UInt = #line) throws {
  guard seen == wanted else { throw Failure("line \(line): \(what) is \(seen), not \(wanted)") }
}

func found<Value>(_ value: Value?, _ what: String, line: UInt = #line) throws -> Value {
  guard let value else { throw Failure("line \(line): no \(what)") }
  return value
}

/// Asks again until `condition` holds; throws when it does not within `seconds`.
func eventually(
  _ what: String, seconds: Int64 = 30, every milliseconds: Int32 = 50, line: UInt = #line,
  seen: () -> String = { "" }, _ condition: () throws -> Bool
) throws {
  let end = Clocks.boot() + seconds * 1_000_000_000
  while try !condition() {
    if Clocks.boot() > end { throw Failure("line \(line): not within \(seconds) s: \(what) \(seen())") }
    poll(nil, 0, milliseconds)
  }
}

/// Seconds since boot, as /proc/uptime counts them.
func uptime() -> Double { Double(Clocks.boot()) / 1e9 }

/// Runs blocking work on a thread of its own, so that many tests that mostly wait do so beside each other.
enum Blocking {
  /// Tests that keep a processor busy: as many at a time as do not slow each other down too much.
  private static let busy = DispatchSemaphore(value: 3)

  static func run(isBusy: Bool = true, _ work: @escaping @Sendable () throws -> Void) async throws {
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
      DispatchQueue(label: "cluster test").async {
        if isBusy { busy.wait() }
        let result = Result { try work() }
        if isBusy { busy.signal() }
        continuation.resume(with: result)
      }
    }
  }
}

// What one pod's change costs an agent and a keeper that hold many others: the same as with few.

import AgentCore
import ClusterProto
import Glibc
import Testing

@Suite("cost of a node's pods", .serialized) struct CostTests {
  private static let few = 50
  private static let many = 5_000

  /// CPU milliseconds of this thread.
  private static func cpu(_ work: () throws -> Void) rethrows -> Double {
    func now() -> Double {
      var time = timespec()
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
      return Double(time.tv_sec) * 1_000 + Double(time.tv_nsec) / 1_000_000
    }
    let start = now()
    try work()
    return now() - start
  }

  /// The least of some rounds: what else the machine does only adds.
  private static func least(_ work: () throws -> Void) rethrows -> Double {
    var best = Double.infinity
    for _ in 0..<4 { best = min(best, try cpu(work)) }
    return best
  }

  private func keeper(_ pods: Int) throws -> KeeperBench {
    var bench = KeeperBench()
    for number in 1...pods { try bench.run(assignment(AttemptNumber(number)), lease: 1_000_000) }
    bench.all = []
    return bench
  }

  @Test("a keeper's event costs the same beside 5,000 pods as beside 50")
  func keeperEvents() throws {
    func cost(_ pods: Int) throws -> Double {
      var bench = try keeper(pods)
      return Self.least {
        for _ in 0..<200 {
          bench.now += 1
          bench.send(.podThawed(1))
        }
      }
    }
    let (small, large) = (try cost(Self.few), try cost(Self.many))
    #expect(large < small * 3 + 2, "\(small) and \(large) ms for 200 events")
  }

  @Test("the earliest deadline is found among many, whatever order they came in")
  func earliest() throws {
    var bench = KeeperBench()
    for (number, lease) in [(1, 9_000), (2, 3_000), (3, 6_000)] as [(AttemptNumber, Int64)] {
      try bench.run(assignment(number, toleration: 0), lease: lease)
    }
    #expect(bench.deathTimer == boot(1_000 + 3_000 + 500))
    bench.request(.renew(leaseEnd: boot(1_000 + 20_000), attempts: [2]))
    #expect(bench.deathTimer == boot(1_000 + 6_000 + 500))
    bench.request(.renew(leaseEnd: boot(1_000 + 20_000), attempts: nil))
    #expect(bench.deathTimer == boot(1_000 + 20_000 + 500))
  }

  private func agent(_ pods: Int) -> AgentBench {
    var bench = AgentBench()
    bench.begin(inventory: (1...pods).map { report(AttemptNumber($0)) })
    for number in 1...pods { bench.desired[AttemptNumber(number)] = .run }
    bench.answer()
    bench.all = []
    return bench
  }

  @Test("a push of one pod's change costs an agent the same beside 5,000 pods as beside 50")
  func pushes() {
    func cost(_ pods: Int) -> Double {
      var bench = agent(pods)
      let digest = SetDigest(bench.desired.keys.sorted().map { DesiredAttempt(attempt: $0, action: .run) })
      return Self.least {
        for _ in 0..<100 {
          bench.answers += 1
          var push = Answer(
            number: bench.answers, sequence: bench.lastSequence, leaseMilliseconds: 5_000, desiredDigest: digest)
          push.changes = [DesiredAttempt(attempt: 1, action: .run)]
          bench.hear(.answer(push))
        }
      }
    }
    let (small, large) = (cost(Self.few), cost(Self.many))
    #expect(large < small * 3 + 2, "\(small) and \(large) ms for 100 pushes")
  }
}

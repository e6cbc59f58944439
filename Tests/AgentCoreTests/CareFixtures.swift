// Owns: containers with probes and hooks for the keeper core's tests, and what its effects say of them.

import AgentCore
import ClusterProto
import Testing

/// A container with these members beside its name.
func caring(name: String = "main", sidecar: Bool = false, _ more: JSON) -> JSON {
  var json = container(name, sidecar: sidecar)
  for (key, value) in more.objectValue ?? JSONObject() { json[key] = value }
  return json
}

/// A probe by the command `ask`.
func asking(
  period: Int64 = 10, timeout: Int64 = 1, success: Int64 = 1, failure: Int64 = 3, delay: Int64 = 0, grace: Int64? = nil
) -> JSON {
  var json: JSON = [
    "exec": ["command": ["ask"]], "periodSeconds": .int(period), "timeoutSeconds": .int(timeout),
    "successThreshold": .int(success), "failureThreshold": .int(failure), "initialDelaySeconds": .int(delay),
  ]
  if let grace { json["terminationGracePeriodSeconds"] = .int(grace) }
  return json
}

/// A hook by this command.
func doing(_ word: String) -> JSON { ["exec": ["command": [.string(word)]]] }

extension [KeeperEffect] {
  var checks: [(number: CheckNumber, run: ContainerRun, check: Check)] {
    compactMap { if case .startCheck(let number, let run, let check) = $0 { (number, run, check) } else { nil } }
  }

  var endedChecks: [CheckNumber] { compactMap { if case .endCheck(let number, _) = $0 { number } else { nil } } }

  var facts: [PodFact] {
    flatMap { effect -> [PodFact] in if case .reply(.events(let facts)) = effect { facts } else { [] } }
  }

  var kills: [Int] { compactMap { if case .signal(let run, 9) = $0 { run.slot } else { nil } } }
}

/// No probe was asked in time.
struct NoCheck: Error {}

extension PodFact {
  var text: String { "\(container) \(reason): \(message)" }
}

extension KeeperBench {
  /// Answers a check as its command does.
  @discardableResult
  mutating func answer(
    _ check: (number: CheckNumber, run: ContainerRun, check: Check), code: Int64, _ output: String = ""
  )
    -> [KeeperEffect]
  {
    send(.checked(check.number, check.run, .exited(code: code, output: output)))
  }

  /// Lets time pass up to the next check, which must come within so many ms.
  mutating func nextCheck(within milliseconds: Int64 = 60_000) throws -> (
    number: CheckNumber, run: ContainerRun, check: Check
  ) {
    let end = now + milliseconds
    while now < end {
      let step = max(1, min((wake?.milliseconds ?? end) - now, end - now))
      if let check = pass(step).checks.first { return check }
    }
    throw NoCheck()
  }
}

// Owns: what the pods of a test wrote down themselves: boot clock, fencing token, pod name, process, word.
// It must not know what the cluster says of them.

import ClusterIO

/// One line of a pod.
struct Sign: Equatable {
  /// Seconds since boot, in hundredths.
  let time: Double
  let token: Int64
  let pod: String
  let word: String
}

/// Signs of one attempt.
struct AttemptSigns {
  let token: Int64
  let pod: String
  var first: Double
  var last: Double
  var starts = 0
  var ends = 0
}

struct Ledger {
  let signs: [Sign]

  init(path: String) {
    let text = ((try? Files.read(path)).map { String(decoding: $0, as: UTF8.self) }) ?? ""
    signs = text.split(separator: "\n").compactMap { line in
      let parts = line.split(separator: " ").map(String.init)
      guard parts.count == 5, let time = Double(parts[0]), let token = Int64(parts[1]) else { return nil }
      return Sign(time: time, token: token, pod: parts[2], word: parts[4])
    }
  }

  /// By token, ascending.
  var attempts: [AttemptSigns] {
    var byToken: [Int64: AttemptSigns] = [:]
    for sign in signs {
      var entry =
        byToken[sign.token] ?? AttemptSigns(token: sign.token, pod: sign.pod, first: sign.time, last: sign.time)
      entry.first = min(entry.first, sign.time)
      entry.last = max(entry.last, sign.time)
      if sign.word == "start" { entry.starts += 1 }
      if sign.word == "end" { entry.ends += 1 }
      byToken[sign.token] = entry
    }
    return byToken.keys.sorted().compactMap { byToken[$0] }
  }

  var ended: Int { attempts.filter { $0.ends > 0 }.count }

  /// The most attempts between first and last sign at one moment. One that ends in the hundredth in which another
  /// begins does not overlap it.
  var mostAtOnce: Int {
    let steps = attempts.flatMap { [($0.first, 1), ($0.last, -1)] }
    var running = 0
    var most = 0
    for step in steps.sorted(by: { ($0.0, $0.1) < ($1.0, $1.1) }) {
      running += step.1
      most = max(most, running)
    }
    return most
  }

  /// No attempt started twice, no pod name had two attempts, never more than `parallelism` at once.
  func checkNothingRanTwice(parallelism: Int, line: UInt = #line) throws {
    try check(!signs.isEmpty, "the pods wrote nothing", line: line)
    for attempt in attempts {
      try checkEqual(attempt.starts, 1, "starts of attempt \(attempt.token) (\(attempt.pod))", line: line)
      try check(attempt.ends <= 1, "attempt \(attempt.token) ended \(attempt.ends) times", line: line)
    }
    try checkEqual(
      Set(attempts.map(\.pod)).count, attempts.count, "pod names of \(attempts.count) attempts", line: line)
    try check(mostAtOnce <= parallelism, "\(mostAtOnce) attempts ran at once, \(parallelism) may", line: line)
  }
}

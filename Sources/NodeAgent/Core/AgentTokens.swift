// When an attempt's tokens are asked for again: at four fifths of their life, and after a start of the agent at once,
// since it knows of none. Files and what stands in them are the worker's.

import ClusterProto

extension AgentCore {
  /// Asked, and no answer came: again after this.
  private static let tokenRetry: Int64 = 30_000
  /// The shortest time after which tokens are asked for again, whatever their life is said to be.
  private static let shortestTokenLife: Int64 = 10_000
  private static let tokenPage = 256

  /// Takes note of tokens that were just made: the first to end tells when.
  mutating func noteTokens(_ tokens: [PodToken], of number: AttemptNumber, _ now: Now) {
    guard let seconds = tokens.map(\.seconds).min() else { return tokensDue.cancel(number) }
    // A life of 2^32 s at the most.
    let life = max(0, min(seconds, 1 << 32)) * 1_000
    tokensDue.set(number, at: now.boot + max(Self.shortestTokenLife, life / 5 * 4))
  }

  /// A keeper's inventory is whole: what its pods have for tokens nobody here knows.
  mutating func findTokens(_ now: Now) {
    for number in attempts.keys.sorted() where attempts[number]?.report?.isTerminal == false {
      if tokensDue.time(of: number) == nil { tokensDue.set(number, at: now.boot) }
    }
  }

  /// Asks for the tokens whose time has come, while there is somebody to ask.
  mutating func askForTokens(_ now: Now) {
    var due: [AttemptNumber] = []
    while due.count < Self.tokenPage, let number = tokensDue.popDue(at: now.boot) {
      guard let attempt = attempts[number], attempt.report?.isTerminal != true else { continue }
      due.append(number)
    }
    if due.isEmpty { return }
    for number in due { tokensDue.set(number, at: now.boot + Self.tokenRetry) }
    effects.append(.send(.tokens(due.sorted())))
  }

  /// Fresh tokens go into the files of their pods. An attempt without any is not asked for again.
  mutating func take(_ fresh: [AttemptTokens], _ now: Now) {
    for entry in fresh {
      guard let attempt = attempts[entry.attempt], attempt.report?.isTerminal != true else {
        tokensDue.cancel(entry.attempt)
        continue
      }
      noteTokens(entry.tokens, of: entry.attempt, now)
      if !entry.tokens.isEmpty { effects.append(.writeTokens(entry.attempt, entry.tokens)) }
    }
  }
}

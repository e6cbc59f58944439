// Whom the kernel ends when memory runs out. Knows nothing of how much anybody uses: equal scores let the biggest go.

import Glibc

enum MemoryPressure {
  /// Of containers and of the agent. With the same score the bigger one goes: an agent that eats memory goes before
  /// the innocent pods beside it, whose keeper does not need it, and a pod that does goes before the agent.
  static let expendable: Int32 = 500

  /// The keeper's death is the death of all its pods. Only root may go below the usual score; without, the keeper goes
  /// back from what it has of the agent that started it.
  static func spareKeeper() {
    if !set("-500") { _ = set("0") }
  }

  static func offerAgent() { _ = set("\(expendable)") }

  /// Not worth a word when it fails.
  private static func set(_ score: String) -> Bool {
    let descriptor = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return write(descriptor, score, score.utf8.count) > 0
  }
}

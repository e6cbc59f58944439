// Owns: what is said to who types a command that kubectl has and stint does not. It must not know stint's own commands.

import Glibc

/// Commands of kubectl only.
enum KubectlCommands {
  /// Those that work on a stint cluster.
  private static let working: Set<String> = [
    "api-resources", "api-versions", "auth", "cluster-info", "config", "debug", "proxy", "replace", "taint",
  ]

  /// Those that do not, and why.
  private static let refused: [String: String] = [
    "expose": "a pod's ports are its node's: connect to them there, or with `stint port-forward`",
    "autoscale": "there are only Jobs and pods", "rollout": "there are only Jobs and pods",
    "set": "a Job's template does not change; `stint patch` changes other fields",
  ]

  /// What to do instead; nil for words that kubectl does not know either, or that stint has.
  static func answer(to word: String, hasKubeconfig: Bool = getenv("KUBECONFIG") != nil) -> String? {
    if let why = refused[word] { return "there is no \"\(word)\": \(why)" }
    guard working.contains(word) else { return nil }
    guard !hasKubeconfig else { return "stint has no \"\(word)\", but kubectl works: kubectl \(word)" }
    return "stint has no \"\(word)\", but kubectl works: stint kubeconfig --to stint.yaml, then "
      + "kubectl --kubeconfig stint.yaml \(word)"
  }
}

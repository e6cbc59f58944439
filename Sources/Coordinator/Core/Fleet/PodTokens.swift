// The tokens of pods' volumes: which an attempt has, what they say, and that an agent gets those of its own attempts
// alone. The shell signs them when they leave. Knows nothing of keys.

import ClusterProto

extension CoordinatorCore {
  /// Attempts whose tokens go in one message.
  private static let tokenPage = 256

  /// The tokens of a pod's volumes, not signed yet; none where its account is not there.
  mutating func tokens(of pod: Pod) -> [PodToken] {
    var result: [PodToken] = []
    for volume in pod.spec.volumes {
      for case .token(let path, let audience, let seconds) in volume.projections {
        let key = ObjectKey(namespace: pod.meta.namespace, name: pod.spec.serviceAccountName)
        guard let account = state.other(.serviceaccounts, key) else { return [] }
        var claims = claims(
          of: account, audiences: [audience.isEmpty ? TokenClaims.issuer : audience], seconds: seconds)
        bind(&claims, to: pod)
        result.append(
          PodToken(volume: volume.name, path: path, seconds: seconds, content: .claims(claims.json)))
      }
    }
    return result
  }

  /// An agent asks for fresh tokens.
  mutating func wantTokens(_ numbers: [AttemptNumber], _ session: SessionID) {
    for number in numbers { fleet.sessions[session]?.tokenWants.add(number) }
    fleet.wantingTokens.add(session)
  }

  /// Sends the tokens that agents asked for, each once a turn; returns how many attempts were looked at.
  mutating func answerTokenWants(limit: Int) -> Int {
    var used = 0
    while used < limit, let id = fleet.wantingTokens.next() {
      var page: [AttemptTokens] = []
      while used < limit, page.count < Self.tokenPage, let number = fleet.sessions[id]?.tokenWants.next() {
        used += 1
        page.append(AttemptTokens(attempt: number, tokens: ownPod(of: number, id).map { tokens(of: $0) } ?? []))
      }
      if !page.isEmpty { outputs.append(.send(id, .tokens(page), immediate: false)) }
      if fleet.sessions[id]?.tokenWants.isEmpty == false { fleet.wantingTokens.add(id) }
    }
    return used
  }

  /// The pod of an attempt that this session's keeper may run; nil for every other.
  func ownPod(of number: AttemptNumber, _ id: SessionID) -> Pod? {
    guard let attempt = fleet.attempts[number], let session = fleet.sessions[id], attempt.node == session.node,
      attempt.keeper == session.keeper, attempt.action == .run, let pod = state.pods[attempt.pod],
      pod.meta.uid == attempt.podUID
    else { return nil }
    return pod
  }
}

// Owns: a container's probes and hooks as they are carried out on this node: hosts and ports filled in, variables in
// probes' commands. kubelet's rules. It must not know how they are carried out.

import ClusterProto

/// Plans one container's.
struct CarePlanner {
  let container: ContainerSpec
  /// The pod's.
  let address: String

  private static let loopback = "127.0.0.1"

  var care: ContainerCare {
    guard !container.care.isEmpty else { return ContainerCare() }
    var care = container.care.mapping { action, isProbe in
      switch action {
      case .exec(let command): return .exec(isProbe ? command.map(expanded) : command)
      case .get(var get):
        get.host = host(get.host)
        get.port = port(get.port)
        return .get(get)
      case .connect(let host, let port): return .connect(host: self.host(host), port: self.port(port))
      case .pause: return action
      }
    }
    care.podAddress = host("")
    return care
  }

  private func host(_ given: String) -> String {
    if !given.isEmpty { return given }
    return address.isEmpty ? Self.loopback : address
  }

  /// One that has no such port keeps the name: each check fails by it.
  private func port(_ given: CareAction.Port) -> CareAction.Port {
    guard case .name(let name) = given, let number = container.namedPorts[name] else { return given }
    return .number(number)
  }

  /// ExpandContainerCommandOnlyStatic: of variables whose value the manifest has, as it has it; others are empty.
  private func expanded(_ word: String) -> String {
    let expanded = try? VariableExpansion.expand(word, limit: PlanLimits.text) { name in
      guard let variable = container.environment.last(where: { $0.name == name }) else { return nil }
      if case .value(let text) = variable.source { return text }
      return ""
    }
    return expanded ?? word
  }
}

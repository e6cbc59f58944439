// What a container of an image is: the image's configuration under the manifest's, by Kubernetes' rules (command
// replaces entry point and command, args replace the command alone, variables go over by name). Pure.

import ClusterProto

/// An image of a node and where its layers lie there.
package struct PlacedImage: Equatable, Sendable {
  /// What it is.
  package var record: ImageRecord
  /// Names of its layers' directories, the lowest first.
  package var directories: [String]

  /// Takes each value as it stands.
  package init(record: ImageRecord, directories: [String]) {
    self.record = record
    self.directories = directories
  }
}

/// Merges one container with its image.
struct ImageMerge {
  let image: ImageRecord
  let directories: [String]
  let container: ContainerSpec
  let spec: PodSpec
  /// The pod as kubelet names it in messages.
  let pod: String

  /// Its root and who it runs as. `namespace`: of the pod.
  func root(of namespace: String) throws(PlanningError) -> (root: ContainerRoot, home: String) {
    do throws(ImageUsers.Failure) {
      let security = container.security
      let label = "pod: \"\(pod)\", container: \(container.name)"
      let user = try ImageUsers(image: image, pod: spec.security, container: security, label: label).find()
      var root = ContainerRoot(
        layers: directories.reversed(), capabilities: try Capabilities.mask(of: security))
      (root.userID, root.groupID, root.groups) = (user.user, user.group, user.groups)
      root.noNewPrivileges = security.allowPrivilegeEscalation == false
      root.isReadOnly = security.isReadOnlyRoot
      root.isPrivileged = security.isPrivileged
      root.unmasksProc = security.unmasksProc
      root.seccomp = seccomp
      root.ownProcesses = !spec.sharesProcesses
      root.podIPC = !spec.hostIPC
      root.ownUsers = spec.hasOwnUsers
      let signal = container.stopSignal ?? image.configuration.stopSignal
      root.stopSignal = signal.flatMap(StopSignals.number) ?? root.stopSignal
      // Not where something could stay in it unseen: an attribute of a file that only hinders others, or a hand in it
      // from the pod's other processes; and one of users of the pod's own is theirs.
      let isPlain = !root.isPrivileged && root.capabilities & ~Capabilities.usual == 0
      if isPlain, root.ownProcesses, !root.ownUsers { root.heirs = namespace }
      return (root, user.home)
    } catch {
      throw PlanningError(container: container.name, reason: error.reason, message: error.message)
    }
  }

  /// The container's own profile, else the pod's.
  private var seccomp: ContainerRoot.Seccomp {
    let context = container.security.seccompType == nil ? spec.security : container.security
    if container.security.isPrivileged { return .unconfined }
    switch context.seccompType {
    case "Unconfined": return .unconfined
    case "Localhost": return .localhost(context.seccompProfile ?? "")
    default: return .runtimeDefault
    }
  }

  /// The command line; `command` and `arguments` are the manifest's, expanded.
  func arguments(command: [String], arguments: [String]) throws(PlanningError) -> [String] {
    let configuration = image.configuration
    var result = command + arguments
    if command.isEmpty {
      result = configuration.entrypoint + (arguments.isEmpty ? configuration.command : arguments)
    }
    if result.isEmpty {
      throw PlanningError(
        container: container.name, reason: "CreateContainerError",
        message: "no command specified: neither the manifest nor image \"\(container.image)\" has one")
    }
    return result
  }

  /// The image's variables that the manifest does not set, then the manifest's; with a PATH, and the user's HOME.
  func environment(_ variables: StringMap, home: String) -> [String] {
    var result: [String] = []
    var names: Set<Substring> = []
    for text in image.configuration.environment {
      let name = text.prefix { $0 != "=" }
      guard !name.isEmpty, name.count < text.count, variables[String(name)] == nil else { continue }
      if names.insert(name).inserted {
        result.append(text)
      } else if let index = result.firstIndex(where: { $0.hasPrefix("\(name)=") }) {
        result[index] = text
      }
    }
    result += variables.map { "\($0.key)=\($0.value)" }
    for (name, value) in [("PATH", EnvironmentBuilder.defaultPath), ("HOME", home)]
    where variables[name] == nil && !names.contains(Substring(name)) {
      result.append("\(name)=\(value)")
    }
    return result
  }

  /// Where the command starts.
  var workingDirectory: String {
    let own = container.workingDirectory ?? ""
    return PathText.withinRoot(own.isEmpty ? image.configuration.workingDirectory : own)
  }
}

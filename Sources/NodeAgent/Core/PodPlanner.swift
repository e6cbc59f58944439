// From an assignment to the plan that the keeper runs: final command lines, environments and mounts, in kubelet's
// rules and words. Pure: the volumes are made by the host's worker, which passes their paths.

import ClusterProto

/// Why no plan could be made; shown on the container as its waiting state.
package struct PlanningError: Error, Equatable {
  /// The container that it is about.
  package var container: String
  /// Kubernetes' reason for the waiting state.
  package var reason: String
  /// What is missing, for people.
  package var message: String
}

/// What a plan needs to know of the node and of the attempt's place on it.
package struct PodPlace: Equatable, Sendable {
  /// The node's name.
  package var node: String
  /// podIP and hostIP.
  package var address: String
  /// What `limits` mean for a container that names none.
  package var capacity: NodeCapacity
  /// The pod's own directory on the host.
  package var podDirectory: String
  /// Where its network files are on the host; nil: in its own directory.
  package var networkDirectory: String?
  /// Host path of each volume of the spec, by volume name.
  package var volumes: [String: String]
  /// The images of its containers, by the name that the manifest gives them; one that is not here runs the host's
  /// programs.
  package var images: [String: PlacedImage]
  /// The most processes of a pod; nil: no bound.
  package var podProcesses: Int64?
  /// Volumes of the medium Memory are in memory here, and not on the disk.
  package var hasMemoryVolumes = true

  /// Takes each value as it stands.
  package init(
    node: String, address: String, capacity: NodeCapacity, podDirectory: String, volumes: [String: String],
    images: [String: PlacedImage] = [:], podProcesses: Int64? = nil
  ) {
    self.podProcesses = podProcesses
    self.node = node
    self.address = address
    self.capacity = capacity
    self.podDirectory = podDirectory
    self.volumes = volumes
    self.images = images
  }
}

extension VolumeSpec {
  /// Kubernetes mounts what it writes itself read-only, whatever the mount says.
  fileprivate var isReadOnly: Bool {
    switch source {
    case .files: true
    case .claim(_, let isReadOnly): isReadOnly
    case .emptyDirectory, .hostPath, .ephemeral, .unsupported: false
    }
  }
}

/// Makes plans.
package enum PodPlanner {
  static let configError = "CreateContainerConfigError"

  /// The plan of an attempt. Throws the first container's error, in the order in which they start.
  package static func plan(_ assignment: Assignment, place: PodPlace) throws(PlanningError) -> PodPlan {
    let spec = assignment.spec
    let environment = EnvironmentBuilder(assignment: assignment, place: place, hostname: hostname(assignment))
    var room = PlanLimits.pod
    var initContainers: [PodPlan.Container] = []
    for container in spec.initContainers {
      initContainers.append(try plan(container, of: spec, environment, place, &room))
    }
    var containers: [PodPlan.Container] = []
    for container in spec.containers {
      containers.append(try plan(container, of: spec, environment, place, &room))
    }
    var result = PodPlan(
      initContainers: initContainers, containers: containers, restartPolicy: spec.restartPolicy,
      terminationGraceMilliseconds: milliseconds(spec.terminationGracePeriodSeconds),
      activeDeadlineMilliseconds: spec.activeDeadlineSeconds.map(milliseconds),
      hostname: hostname(assignment), podDirectory: place.podDirectory)
    result.limits = PodLimits(of: spec, at: place).pod
    result.storage = StorageLimits(of: spec, at: place)
    let all = spec.containers + spec.initContainers.filter(\.isSidecar)
    result.rank = EvictionRank(
      priority: Int64(spec.priority),
      memory: Dictionary(all.map { ($0.name, $0.memoryBytes) }, uniquingKeysWith: { first, _ in first }),
      storage: Dictionary(
        all.filter { $0.storageBytes > 0 }.map { ($0.name, $0.storageBytes) }, uniquingKeysWith: { first, _ in first }),
      podStorage: spec.storageBytes)
    return result
  }

  /// The plan of a container that is added to an attempt that runs, with its place on the node as it is.
  package static func addition(
    _ name: String, to assignment: Assignment, place: PodPlace
  ) throws(PlanningError) -> PodPlan.Container {
    let spec = assignment.spec
    guard let container = spec.ephemeralContainers.first(where: { $0.name == name }) else {
      throw PlanningError(container: name, reason: configError, message: "the pod has no such container")
    }
    let environment = EnvironmentBuilder(assignment: assignment, place: place, hostname: hostname(assignment))
    var room = PlanLimits.pod
    var result = try plan(container, of: spec, environment, place, &room)
    result.target = container.target
    return result
  }

  private static func plan(
    _ container: ContainerSpec, of spec: PodSpec, _ environment: EnvironmentBuilder, _ place: PodPlace,
    _ room: inout Int
  ) throws(PlanningError) -> PodPlan.Container {
    let merge = place.images[container.image].map { image in
      ImageMerge(
        image: image.record, directories: image.directories, container: container, spec: spec,
        pod: environment.podLabel)
    }
    if merge == nil { try refuseConfined(container, of: spec) }
    let variables = try environment.variables(of: container, inImage: merge != nil)
    let lookUp = { (name: String) -> String? in variables[name] }
    let (root, home) = try merge?.root(of: environment.assignment.namespace) ?? (nil, "")
    var environment = merge?.environment(variables, home: home) ?? variables.map { "\($0.key)=\($0.value)" }
    if container.input.isTerminal { TerminalSize.name(in: &environment) }
    var programRoom = PlanLimits.container
    for text in environment { try take(text.utf8.count + 1, &programRoom, &room, container.name) }
    // Without a command the arguments belong to the image's entry point, which the host does not have.
    let words = container.command.isEmpty && merge == nil ? [] : container.command + container.arguments
    var arguments: [String] = []
    for (index, word) in words.enumerated() {
      let field = index < container.command.count ? "command[\(index)]" : "args[\(index - container.command.count)]"
      let argument = try expand(word, field, limit: PlanLimits.text, in: container.name, lookUp)
      try take(argument.utf8.count + 1, &programRoom, &room, container.name)
      arguments.append(argument)
    }
    if let merge {
      arguments = try merge.arguments(
        command: Array(arguments.prefix(container.command.count)),
        arguments: Array(arguments.dropFirst(container.command.count)))
    }
    var mounts: [PodPlan.Mount] = []
    for mount in container.mounts {
      guard let source = place.volumes[mount.name] else {
        throw PlanningError(
          container: container.name, reason: configError, message: "volume \"\(mount.name)\" is not there")
      }
      let path = PathText.withinRoot(mount.mountPath)
      try check(path, "volume \"\(mount.name)\"", container.name)
      let readOnly = mount.readOnly || spec.volumes.contains { $0.name == mount.name && $0.isReadOnly }
      let subPath = try subPath(of: mount, in: container.name, lookUp)
      var unbounded = Int.max
      try take(
        source.utf8.count + (subPath?.utf8.count ?? 0) + path.utf8.count, &unbounded, &room, container.name)
      mounts.append(PodPlan.Mount(source: source, subPath: subPath, path: path, readOnly: readOnly))
    }
    var messagePath = container.terminationMessagePath
    if !messagePath.isEmpty {
      messagePath = PathText.withinRoot(messagePath)
      try check(messagePath, "the termination message", container.name)
    }
    var result = PodPlan.Container(
      name: container.name, image: container.image,
      arguments: arguments, environment: environment,
      workingDirectory: merge?.workingDirectory ?? PathText.withinRoot(container.workingDirectory ?? ""),
      mounts: merge == nil
        ? mounts : mounts + networkFiles(place, beside: mounts) + SharedMemory.mount(spec, place, beside: mounts),
      isSidecar: container.isSidecar, terminationMessagePath: messagePath,
      fallsBackToLogs: container.fallsBackToLogs, root: root)
    let limits = PodLimits(of: spec, at: place)
    result.limits = limits.container(container)
    result.oomScore = limits.oomScore(container)
    result.input = container.input
    result.care = CarePlanner(container: container, address: place.address).care
    for action in result.care.actions {
      var programRoom = programRoom
      try take(action.length, &programRoom, &room, container.name)
    }
    return result
  }

  /// What would not hold of a program of the host is not run as one, whoever has put the pod here.
  private static func refuseConfined(_ container: ContainerSpec, of spec: PodSpec) throws(PlanningError) {
    let member = (container.security.confining.first ?? spec.security.confining.first).map { "securityContext.\($0)" }
    guard let field = member ?? (spec.hasOwnUsers ? "hostUsers: false" : nil) else { return }
    throw PlanningError(
      container: container.name, reason: configError,
      message: "\(field) holds of containers of images alone, and here this one is a program of the host")
  }

  /// What kubelet writes for each pod, in the place of the image's.
  private static func networkFiles(_ place: PodPlace, beside mounts: [PodPlan.Mount]) -> [PodPlan.Mount] {
    let directory = place.networkDirectory ?? "\(place.podDirectory)/\(NetworkFiles.directory)"
    return NetworkFiles.names.compactMap { name in
      let path = "/etc/\(name)"
      if mounts.contains(where: { $0.path == path }) { return nil }
      return PodPlan.Mount(
        source: "\(directory)/\(name)", subPath: nil, path: path, readOnly: false)
    }
  }

  /// Takes `bytes` of what the container and the pod may still hold.
  private static func take(_ bytes: Int, _ program: inout Int, _ pod: inout Int, _ container: String)
    throws(PlanningError)
  {
    program -= bytes
    pod -= bytes
    if program < 0 {
      throw PlanningError(
        container: container, reason: configError,
        message: "command, args and environment are longer than \(PlanLimits.container) bytes together, the most that "
          + "a program can be started with")
    }
    if pod < 0 {
      throw PlanningError(
        container: container, reason: configError,
        message: "command, args, environment and mounts of the pod's containers up to this one are longer than "
          + "\(PlanLimits.pod) bytes together; mount ConfigMaps as files instead of importing them as variables")
    }
  }

  private static func expand(
    _ text: String, _ field: String, limit: Int, in container: String, _ lookUp: (String) -> String?
  ) throws(PlanningError) -> String {
    do throws(ExpansionOverflow) {
      return try VariableExpansion.expand(text, limit: limit, with: lookUp)
    } catch {
      throw PlanningError(
        container: container, reason: configError,
        message: "\(field) is longer than \(limit) bytes with its variables expanded")
    }
  }

  /// Whether something may be mounted there: over the root it would have no effect, and `/proc` is the pod's own, as in
  /// a runtime.
  private static func check(_ path: String, _ what: String, _ container: String) throws(PlanningError) {
    guard let problem = PathText.mountProblem(path) else { return }
    throw PlanningError(
      container: container, reason: configError, message: "cannot mount \(what) on \"\(path)\": \(problem)")
  }

  /// subPath, or subPathExpr with the container's variables in it; it may not leave the volume.
  private static func subPath(
    of mount: ContainerSpec.VolumeMount, in container: String, _ lookUp: (String) -> String?
  ) throws(PlanningError) -> String? {
    guard let expression = mount.subPathExpression else { return mount.subPath }
    var missing: String?
    let path = try expand(
      expression, "subPathExpr of volume \"\(mount.name)\"", limit: PlanLimits.path, in: container
    ) { name in
      let value = lookUp(name)
      if value == nil, missing == nil { missing = name }
      return value
    }
    func failure(_ message: String) -> PlanningError {
      PlanningError(container: container, reason: configError, message: message)
    }
    if let missing { throw failure("missing value for \"\(missing)\"") }
    if PathText.isAbsolute(path) { throw failure("error SubPath `\(path)` must not be an absolute path") }
    if PathText.climbs(path) {
      throw failure("unable to provision SubPath `\(path)`: must not contain '..'")
    }
    return path.isEmpty ? nil : path
  }

  /// spec.hostname, else the pod's name cut to the 63 characters that a host name may have.
  static func hostname(_ assignment: Assignment) -> String {
    if let name = assignment.hostname ?? assignment.spec.hostname, !name.isEmpty { return name }
    var name = String(assignment.podName.prefix(63))
    while let last = name.last, last == "-" || last == "." { name.removeLast() }
    return name
  }

  private static func milliseconds(_ seconds: Int64) -> Int64 { max(0, min(seconds, Int64.max / 1000)) * 1000 }
}

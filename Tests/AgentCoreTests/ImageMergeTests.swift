// What a container of an image becomes: entry point, variables, user, capabilities and the rest, by Kubernetes' rules
// of what goes before what, and the words in which a container that cannot be made says so.

import ClusterProto
import Testing

@testable import AgentCore

@Suite("containers merged with their images") struct ImageMergeTests {
  private static let passwd = """
    root:x:0:0:root:/root:/bin/sh
    app:x:1000:2000::/home/app:/bin/sh
    homeless:x:1001:2001:::/bin/sh
    broken
    odd:x:many:1::/:/bin/sh

    """
  private static let group = "root:x:0:\nstaff:x:2000:\nextra:x:3000:other,app\nmore:x:3001:app\nlost\n"

  private func image(_ configuration: ImageConfiguration = ImageConfiguration(command: ["/bin/run"])) -> PlacedImage {
    PlacedImage(
      record: ImageRecord(
        id: "sha256:1", layers: ["sha256:a", "sha256:b"], configuration: configuration, passwd: Self.passwd,
        group: Self.group), directories: ["low", "high"])
  }

  private func container(
    _ more: JSON = [:], pod: JSON = [:],
    image configuration: ImageConfiguration = ImageConfiguration(command: ["/bin/run"])
  ) throws -> PodPlan.Container {
    var json: JSON = ["name": "main", "image": "app:1"]
    for (key, value) in more.objectValue ?? JSONObject() { json[key] = value }
    var spec: JSON = ["containers": [json]]
    for (key, value) in pod.objectValue ?? JSONObject() { spec[key] = value }
    var node = place
    node.images = ["app:1": image(configuration)]
    let plan = try PodPlanner.plan(assignment(1, spec: PodSpec(json: spec)), place: node)
    return try #require(plan.containers.first)
  }

  private func root(_ more: JSON = [:], pod: JSON = [:], user: String = "") throws -> ContainerRoot {
    try #require(
      try container(more, pod: pod, image: ImageConfiguration(command: ["/bin/run"], user: user)).root)
  }

  private func failure(_ more: JSON = [:], pod: JSON = [:], image configuration: ImageConfiguration) -> PlanningError? {
    do {
      _ = try container(more, pod: pod, image: configuration)
      return nil
    } catch {
      return error as? PlanningError
    }
  }

  // MARK: - Command, environment, directory

  @Test(
    "command replaces entry point and command, args replace the command alone",
    arguments: [
      ([], [], ["/entry", "a"]), (["own"], [], ["own"]), (["own"], ["b"], ["own", "b"]), ([], ["b"], ["/entry", "b"]),
    ])
  func commandLine(command: [String], arguments: [String], expected: [String]) throws {
    let configuration = ImageConfiguration(entrypoint: ["/entry"], command: ["a"])
    let result = try container(["command": .strings(command), "args": .strings(arguments)], image: configuration)
    #expect(result.arguments == expected)
  }

  @Test("a container for which nobody names a command cannot be made") func noCommand() {
    let error = failure(image: ImageConfiguration())
    #expect(error?.reason == "CreateContainerError")
    #expect(error?.message == "no command specified: neither the manifest nor image \"app:1\" has one")
    #expect(failure(image: ImageConfiguration(entrypoint: ["/x"])) == nil)
  }

  @Test("$(NAME) is the manifest's: it knows no variable of the image's, whose own texts stay as they are")
  func expansion() throws {
    let configuration = ImageConfiguration(entrypoint: ["$(OWN)"], environment: ["FROM=image", "PATH=/x"])
    let result = try container(
      ["args": ["$(OWN)", "$(FROM)"], "env": [["name": "OWN", "value": "pod"]]], image: configuration)
    #expect(result.arguments == ["$(OWN)", "pod", "$(FROM)"])
  }

  @Test("the pod's variables go over the image's by name; PATH and HOME are there in any case") func environment()
    throws
  {
    let configuration = ImageConfiguration(
      command: ["x"], environment: ["A=image", "B=image", "PATH=/image", "A=later", "nothing", "=odd"])
    let result = try container(["env": [["name": "B", "value": "pod"]]], image: configuration).environment
    #expect(result.filter { $0.hasPrefix("A=") } == ["A=later"])
    #expect(result.filter { $0.hasPrefix("B=") } == ["B=pod"])
    #expect(result.filter { $0.hasPrefix("PATH=") } == ["PATH=/image"])
    #expect(result.filter { $0.hasPrefix("HOME=") } == ["HOME=/root"])
    #expect(!result.contains("nothing") && !result.contains("=odd"))
    let bare = try container([:], image: ImageConfiguration(command: ["x"], environment: ["HOME=/elsewhere"]))
      .environment
    #expect(bare.contains("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"))
    #expect(bare.filter { $0.hasPrefix("HOME=") } == ["HOME=/elsewhere"])
  }

  @Test("the working directory is the manifest's, else the image's, else the root") func directory() throws {
    let configuration = ImageConfiguration(command: ["x"], workingDirectory: "/srv/app/")
    #expect(try container(["workingDir": "/own"], image: configuration).workingDirectory == "/own")
    #expect(try container([:], image: configuration).workingDirectory.hasPrefix("/srv/app"))
    #expect(try container().workingDirectory == "/")
  }

  @Test("a container whose image the node does not have as one runs the host's programs") func host() throws {
    let json: JSON = ["containers": [["name": "main", "image": "host", "command": ["true"]]]]
    let plan = try PodPlanner.plan(assignment(1, spec: PodSpec(json: json)), place: place)
    #expect(plan.containers.first?.root == nil)
    #expect(plan.containers.first?.mounts == [])
  }

  // MARK: - Users

  @Test(
    "the image's user is looked up in the image",
    arguments: [
      ("", 0, 0, [0]), ("app", 1000, 2000, [2000, 3000, 3001]), ("1000", 1000, 2000, [2000, 3000, 3001]),
      ("app:staff", 1000, 2000, [2000, 3000, 3001]), ("app:7", 1000, 7, [7, 3000, 3001]), ("4242", 4242, 0, [0]),
      ("app:", 1000, 2000, [2000, 3000, 3001]), ("4242:extra", 4242, 3000, [3000]),
    ])
  func users(text: String, user: UInt32, group: UInt32, groups: [UInt32]) throws {
    let root = try root(user: text)
    #expect((root.userID, root.groupID) == (user, group))
    #expect(root.groups == groups)
  }

  @Test(
    "numbers that no runtime takes are refused: they would wrap around to root",
    arguments: [
      "2147483648", "4294967295", "1:4294967295", "app:2147483648",
    ]) func tooHigh(text: String)
  {
    let error = #expect(throws: PlanningError.self) { try root(user: text) }
    #expect(error?.reason == "CreateContainerError")
    #expect(error?.message == "uids and gids must be in range 0-2147483647")
  }

  @Test("the manifest's user, group and groups go before the image's, a container's before the pod's") func asked()
    throws
  {
    let pod: JSON = [
      "securityContext": ["runAsUser": 5, "runAsGroup": 6, "supplementalGroups": [8, 9], "fsGroup": 10]
    ]
    let first = try root(pod: pod, user: "app:staff")
    #expect((first.userID, first.groupID) == (5, 6))
    #expect(first.groups == [6, 8, 9, 10])
    let second = try root(["securityContext": ["runAsUser": 1000]], pod: pod, user: "root")
    #expect((second.userID, second.groupID) == (1000, 6))
    #expect(second.groups == [6, 3000, 3001, 8, 9, 10])
    var strict = pod
    strict["securityContext"] = ["supplementalGroupsPolicy": "Strict", "supplementalGroups": [8]]
    #expect(try root(pod: strict, user: "app").groups == [2000, 8])
  }

  @Test("a home is the user's, and / for one without") func homes() throws {
    func home(_ user: String) throws -> [String] {
      try container([:], image: ImageConfiguration(command: ["x"], user: user)).environment.filter {
        $0.hasPrefix("HOME=")
      }
    }
    #expect(try home("app") == ["HOME=/home/app"])
    #expect(try home("homeless") == ["HOME=/"])
    #expect(try home("4242") == ["HOME=/"])
  }

  @Test("a user or group that the image does not know cannot be made") func unknown() {
    let user = failure(image: ImageConfiguration(command: ["x"], user: "nobody-here"))
    #expect(user?.reason == "CreateContainerError")
    #expect(user?.message == "unable to find user nobody-here: no matching entries in passwd file")
    #expect(
      failure(image: ImageConfiguration(command: ["x"], user: "app:lost"))?.message
        == "unable to find group lost: no matching entries in group file")
    #expect(failure(image: ImageConfiguration(command: ["x"], user: "odd")) != nil)
  }

  @Test(
    "runAsNonRoot refuses root, and whom it cannot tell from root, in kubelet's words",
    arguments: [
      ("", [:], "container has runAsNonRoot and image will run as root"),
      ("0", [:], "container has runAsNonRoot and image will run as root"),
      ("app", [:], "container has runAsNonRoot and image has non-numeric user (app), cannot verify user is non-root"),
      ("1000", ["runAsUser": 0], "container's runAsUser breaks non-root policy"),
    ] as [(String, JSON, String)])
  func nonRoot(user: String, security: JSON, message: String) {
    let pod: JSON = ["securityContext": ["runAsNonRoot": true]]
    let error = failure(
      ["securityContext": security], pod: pod, image: ImageConfiguration(command: ["x"], user: user))
    #expect(error?.reason == "CreateContainerConfigError")
    #expect(error?.message.hasPrefix("\(message) (pod: \"") == true, "\(error?.message ?? "")")
    #expect(error?.message.hasSuffix("container: main)") == true)
  }

  @Test("runAsNonRoot lets numbers pass, and a container's own false goes before the pod's true") func nonRootPasses() {
    let pod: JSON = ["securityContext": ["runAsNonRoot": true]]
    #expect(failure(pod: pod, image: ImageConfiguration(command: ["x"], user: "1000:0")) == nil)
    #expect(
      failure(["securityContext": ["runAsUser": 7]], pod: pod, image: ImageConfiguration(command: ["x"], user: "app"))
        == nil)
    #expect(
      failure(["securityContext": ["runAsNonRoot": false]], pod: pod, image: ImageConfiguration(command: ["x"])) == nil)
  }

  @Test("more groups than a start bears are refused") func manyGroups() {
    let groups = JSON.integers((100..<164).map { Int64($0) })
    let error = failure(
      pod: ["securityContext": ["supplementalGroups": groups]], image: ImageConfiguration(command: ["x"]))
    #expect(error?.message == "more than 64 supplementary groups")
  }

  // MARK: - Capabilities and the rest

  @Test(
    "capabilities are the usual ones, all, none, more and less",
    arguments: [
      ([], [], 0xA804_25FB), (["ALL"], [], 0x1FF_FFFF_FFFF), ([], ["ALL"], 0), (["CAP_NET_ADMIN"], [], 0xA804_35FB),
      (["sys_time"], ["all"], 0x200_0000), ([], ["CHOWN", "KILL"], 0xA804_25DA),
      (["ALL"], ["SYS_ADMIN"], 0x1FF_FFDF_FFFF),
    ] as [([String], [String], UInt64)])
  func capabilities(add: [String], drop: [String], mask: UInt64) throws {
    let security: JSON = ["capabilities": ["add": .strings(add), "drop": .strings(drop)]]
    let found = try root(["securityContext": security]).capabilities
    #expect(found == mask, "\(String(found, radix: 16))")
  }

  @Test("a root goes on to its namespace's containers, unless something could stay in it unseen") func heirs() throws {
    #expect(try root().heirs == "ns")
    #expect(try root(["securityContext": ["capabilities": ["drop": ["ALL"]]]]).heirs == "ns")
    #expect(try root(["securityContext": ["capabilities": ["add": ["SYS_ADMIN"]]]]).heirs == "")
    #expect(try root(["securityContext": ["privileged": true]]).heirs == "")
    #expect(try root(pod: ["shareProcessNamespace": true]).heirs == "")
  }

  @Test("a capability that there is not cannot be given") func unknownCapability() {
    let error = failure(
      ["securityContext": ["capabilities": ["add": ["FLY"]]]], image: ImageConfiguration(command: ["x"]))
    #expect(error?.message == "unknown capability \"CAP_FLY\"")
  }

  @Test("what else a manifest says of a container's security is in its root") func flags() throws {
    let plain = try root()
    #expect(plain.layers == ["high", "low"])
    #expect(!plain.noNewPrivileges && !plain.isReadOnly && !plain.isPrivileged && !plain.unmasksProc)
    #expect(plain.seccomp == .runtimeDefault && plain.ownProcesses && plain.podIPC)
    let security: JSON = [
      "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "procMount": "Unmasked",
      "seccompProfile": ["type": "Unconfined"],
    ]
    let other = try root(
      ["securityContext": security], pod: ["shareProcessNamespace": true, "hostIPC": true])
    #expect(other.noNewPrivileges && other.isReadOnly && other.unmasksProc)
    #expect(other.seccomp == .unconfined && !other.ownProcesses && !other.podIPC)
    let privileged = try root(["securityContext": ["privileged": true]])
    #expect(privileged.isPrivileged && privileged.seccomp == .unconfined)
    #expect(privileged.capabilities == Capabilities.all)
  }

  @Test("the root is read back from its JSON as it was written, and a flag of another version stops it") func json()
    throws
  {
    for root in [
      try root(), try root(["securityContext": ["privileged": true, "readOnlyRootFilesystem": true]], user: "app"),
      try root(
        ["securityContext": ["allowPrivilegeEscalation": false, "procMount": "Unmasked"]],
        pod: ["shareProcessNamespace": true, "hostIPC": true]),
    ] {
      #expect(try ContainerRoot(json: JSON(parsing: root.json.bytes), "root") == root)
    }
    var unknown = try root().json
    unknown["flags"] = ["landlocked"]
    #expect(throws: MessageError.self) { try ContainerRoot(json: unknown, "root") }
    var wrong = try root().json
    wrong["user"] = -1
    #expect(throws: MessageError.self) { try ContainerRoot(json: wrong, "root") }
  }

  @Test(
    "stop signals are read by name and number, and what is none is SIGTERM",
    arguments: [
      ("SIGQUIT", 3), ("quit", 3), ("9", 9), ("SIGRTMIN+3", 37), ("RTMAX-1", 63), ("RTMIN", 34), ("SIGRTMIN+99", 15),
      ("SIGWHAT", 15), ("0", 15), ("65", 15), ("RTMIN+9223372036854775807", 15), ("", 15),
    ])
  func stopSignals(text: String, number: Int32) throws {
    let configuration = ImageConfiguration(command: ["x"], stopSignal: text)
    #expect(try container([:], image: configuration).root?.stopSignal == number)
    #expect(try container(["lifecycle": ["stopSignal": "SIGUSR2"]], image: configuration).root?.stopSignal == 12)
  }
}

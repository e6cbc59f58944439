// Three machines that pull by themselves from a registry on one of them, a mirror of the names that people write: Jobs
// of the shapes that books teach run as they are written, with short names of images and an init container.

import ClusterIO
import ClusterProto
import Glibc
import Testing

@Suite(
  "Machines that pull images", .serialized,
  .enabled(if: Machines.areAvailable, Comment(rawValue: Machines.requirement)))
struct ImageMachinesTests {
  private static let port = 5000

  /// Stands for a database's image: the shell of one reads a script, the import counts documents.
  private static let database = [
    "mongosh": "#!/bin/sh\ngrep -c insert /dev/stdin\n",
    "mongoimport":
      "#!/bin/sh\nwhile [ \"$1\" != --file ]; do shift; done\necho \"$(grep -c _id \"$2\") document(s) imported\"\n",
  ]

  /// A registry on the first machine with busybox and mongo:5, and every machine told that it mirrors Docker's.
  private static func prepare(_ cluster: MachineCluster) throws {
    let machines = cluster.machines
    let registry = "\(machines.address(MachineCluster.head)):\(port)"
    let box = try BoxImage("\(machines.shared)/box", config: [("cmd", "sh")])
    let mongo = try BoxImage("\(machines.shared)/mongo", scripts: database, config: [("cmd", "mongod")])
    let mirror = """
      unqualified-search-registries = ["docker.io"]
      [[registry]]
      prefix = "docker.io"
      location = "\(registry)"
      insecure = true

      """
    for machine in MachineCluster.nodes {
      try Files.makeDirectory(machines.path(machine, "/etc/containers"))
      try Files.writeAtomically(machines.path(machine, "/etc/containers/registries.conf"), Array(mirror.utf8))
    }
    try Files.writeAtomically(
      "\(machines.shared)/registry.yml", BoxImage.registrySettings(storage: "/var/lib/registry", address: registry))
    _ = try machines.start(
      on: MachineCluster.head, ["/usr/bin/docker-registry", "serve", "/mnt/shared/registry.yml"], log: "registry")
    for (image, name) in [(box, "library/busybox:latest"), (mongo, "library/mongo:5")] {
      let seen = image.copying(to: "\(registry)/\(name)").map {
        $0.replacing(machines.shared, with: "/mnt/shared")
      }
      try eventually("the registry takes \(name)") {
        try machines.start(on: MachineCluster.head, seen, log: "push").end(within: 30) == 0
      }
    }
  }

  private static let questions: JSON = [
    "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "questions"],
    "data": ["questions.json": "{\"_id\": 1}\n{\"_id\": 2}\n{\"_id\": 3}\n"],
  ]

  private static let initialise: JSON = [
    "apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": "initialise"],
    "spec": [
      "template": [
        "spec": [
          "restartPolicy": "OnFailure",
          "initContainers": [
            [
              "name": "init", "image": "mongo:5",
              "command": ["sh", "-c", "mongosh mongodb://db --quiet --file /dev/stdin <<EOF\ndb.a.insert(1)\nEOF\n"],
            ]
          ],
          "containers": [
            [
              "name": "import", "image": "mongo:5",
              "command": ["mongoimport", "mongodb+srv://db", "--collection", "questions", "--file", "/questions.json"],
              "volumeMounts": [
                ["name": "data", "mountPath": "/questions.json", "subPath": "questions.json", "readOnly": true]
              ],
            ]
          ],
          "volumes": [["name": "data", "configMap": ["name": "questions"]]],
        ]
      ]
    ],
  ]

  private static func job(_ name: String, image: String, command: [String], _ more: JSON) -> JSON {
    var spec = more
    spec["template"] = [
      "spec": [
        "restartPolicy": "OnFailure",
        // One for each node: each pulls by itself.
        "topologySpreadConstraints": [
          [
            "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": ["matchLabels": ["batch.kubernetes.io/job-name": .string(name)]],
          ]
        ],
        "containers": [["name": "main", "image": .string(image), "command": .strings(command)]],
      ]
    ]
    return ["apiVersion": "batch/v1", "kind": "Job", "metadata": ["name": .string(name)], "spec": spec]
  }

  private static func apply(_ cluster: MachineCluster, _ object: JSON) throws {
    try Files.writeAtomically("\(cluster.machines.shared)/object.json", object.bytes)
    try cluster.must("apply", "-f", "/mnt/shared/object.json")
  }

  @Test(
    "an init container and an import, a suspended Job, five at two at a time: each runs in the images that it names")
  func chapter() async throws {
    try await Blocking.run(isBusy: false) {
      try MachineCluster.with(images: .on, prepare: Self.prepare) { cluster in
        try Self.apply(cluster, Self.questions)
        try Self.apply(cluster, Self.initialise)
        try cluster.must("wait", "job/initialise", "--for=complete", "--timeout", "60s", "-q")
        let said = try cluster.must("logs", "job/initialise", "--all-containers")
        try checkEqual(said.split(separator: "\n").map(String.init), ["1", "3 document(s) imported"], "logs")

        try Self.apply(
          cluster, Self.job("asleep", image: "busybox", command: ["sleep", "0.1"], ["suspend": true]))
        try eventually("it is suspended") {
          try cluster.must("describe", "job", "asleep").contains("Job suspended")
        }
        try checkEqual(cluster.pods(of: "asleep").count, 0, "pods of a suspended Job")
        try cluster.must("patch", "job", "asleep", "-p", "{\"spec\":{\"suspend\":false}}")
        try cluster.must("wait", "job/asleep", "--for=complete", "--timeout", "60s", "-q")

        try Self.apply(
          cluster,
          Self.job(
            "five", image: "mongo:5", command: ["sh", "-c", "ls /bin/mongosh && test ! -e /usr/share"],
            ["completions": 6, "parallelism": 3]))
        try cluster.must("wait", "job/five", "--for=complete", "--timeout", "60s", "-q")
        let nodes = Set(try cluster.pods(of: "five").compactMap { $0[path: ["spec", "nodeName"]]?.stringValue })
        try checkEqual(nodes.sorted(), MachineCluster.nodes, "nodes that have pulled")
        for node in MachineCluster.nodes {
          let roots = cluster.machines.path(node, "/var/lib/stint-agent/roots")
          try eventually("no root is left on \(node)") { ((try? Files.list(roots)) ?? []).isEmpty }
        }
      }
    }
  }
}

// Descriptions of roles and bindings. Data, no behaviour.

extension Descriptions {
  static let access = """
    Role: Role is what may be done in its namespace. It gives nobody a right until a RoleBinding names it.
      rules: What may be done: the sum of these.
    ClusterRole: ClusterRole is what may be done: in a namespace where a RoleBinding names it, everywhere where a
        ClusterRoleBinding does.
      rules: What may be done: the sum of these. Written by the cluster where there is an aggregationRule.
      aggregationRule: The rules are those of other ClusterRoles.
    RoleBinding: RoleBinding gives users, groups and ServiceAccounts the rights of a role in its namespace.
      subjects: Who gets them.
      roleRef: The Role of the same namespace, or the ClusterRole. It cannot be changed.
    ClusterRoleBinding: ClusterRoleBinding gives users, groups and ServiceAccounts a ClusterRole's rights everywhere.
      subjects: Who gets them.
      roleRef: The ClusterRole. It cannot be changed.
    PolicyRule: PolicyRule is a set of verbs on resources, or on paths.
      verbs: What may be done, as get and create; * is everything.
      apiGroups: The groups of the resources, empty for the core group; * is every one.
      resources: The resources, as pods or pods/log; * is every one, */log that part of every one.
      resourceNames: The objects that it is about; none named are all.
      nonResourceURLs: Paths that name no resource, of ClusterRoles only; * at the end stands for the rest.
    AggregationRule: AggregationRule says of which ClusterRoles a ClusterRole is the sum.
      clusterRoleSelectors: Labels of these ClusterRoles; one that fits is enough.
    Subject: Subject is who gets rights by a binding.
      kind: User, Group or ServiceAccount.
      apiGroup: rbac.authorization.k8s.io, and none of a ServiceAccount; filled in.
      name: The name, as Kubernetes has it.
      namespace: Of a ServiceAccount.
    RoleRef: RoleRef names a role.
      apiGroup: rbac.authorization.k8s.io; filled in.
      kind: Role or ClusterRole.
      name: The role's name.
    """
}

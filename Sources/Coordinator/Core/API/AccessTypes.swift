// Roles and bindings in the tables of types: the schema's and protobuf's. How they are written is told where the other
// tables are (SchemaTypes.swift, ProtobufTypes.swift). Data, no behaviour.

extension Schema {
  static let accessTypes = """
    Role = apiVersion:string kind:string metadata:ObjectMeta rules:[]PolicyRule
    ClusterRole = apiVersion:string kind:string metadata:ObjectMeta rules:[]PolicyRule aggregationRule:AggregationRule
    RoleBinding = apiVersion:string kind:string metadata:ObjectMeta subjects:[]Subject roleRef:RoleRef
    ClusterRoleBinding = apiVersion:string kind:string metadata:ObjectMeta subjects:[]Subject roleRef:RoleRef
    PolicyRule = verbs:[]string apiGroups:[]string resources:[]string resourceNames:[]string nonResourceURLs:[]string
    AggregationRule = clusterRoleSelectors:[]LabelSelector
    Subject = kind:string apiGroup:string name:string namespace:string
    RoleRef = apiGroup:string kind:string name:string
    """
}

extension Protobuf {
  static let accessTypes = """
    Role = metadata=1:ObjectMeta rules=2:[]PolicyRule
    ClusterRole = metadata=1:ObjectMeta rules=2:[]PolicyRule aggregationRule=3:AggregationRule
    RoleBinding = metadata=1:ObjectMeta subjects=2:[]Subject roleRef=3:RoleRef
    ClusterRoleBinding = metadata=1:ObjectMeta subjects=2:[]Subject roleRef=3:RoleRef
    PolicyRule = verbs=1:[]string apiGroups=2:[]string resources=3:[]string resourceNames=4:[]string
      nonResourceURLs=5:[]string
    AggregationRule = clusterRoleSelectors=1:[]LabelSelector
    Subject = kind=1:string apiGroup=2:string name=3:string namespace=4:string
    RoleRef = apiGroup=1:string kind=2:string name=3:string
    """
}

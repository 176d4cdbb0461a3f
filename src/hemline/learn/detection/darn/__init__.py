"""The detector of DARN (Huang et al., ICCV 2015, section 4.2): proposals, features, SVR."""
